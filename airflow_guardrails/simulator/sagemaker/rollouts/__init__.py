"""
How an endpoint changes over time: plans of updates, the steps of a deployment, rollbacks, routing.

Checks of a request's fields against the service model do not belong here, see ``engine.validation``.
"""
