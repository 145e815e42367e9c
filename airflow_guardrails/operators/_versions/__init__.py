"""
Versions and history of an endpoint: read before a launch, written at the end of a rollout.

What follows from them is decided in ``domain.versions``.
"""
