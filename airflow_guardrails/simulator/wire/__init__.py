"""
The AWS protocols of the simulated services, on top of moto: one class for each service.

Only the mapping of calls to the simulated services belongs here, no state and no rules.
"""
