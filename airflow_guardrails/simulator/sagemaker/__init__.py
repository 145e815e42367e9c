"""
Models, endpoint configurations, endpoints and quotas, with AWS's requests and responses as dicts.

HTTP (see ``wire``), the processes that run models (see ``serving``) and metrics do not belong here.
"""
