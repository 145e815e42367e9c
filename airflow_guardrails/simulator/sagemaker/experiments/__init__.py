"""
Inference experiments (shadow tests): requests, schedule, life cycle and reads.

An experiment changes its endpoint only through the ``Endpoints`` protocol in ``lifecycle``.
"""
