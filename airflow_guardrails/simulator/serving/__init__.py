"""
Traffic to endpoints, the processes that run models, and the metrics that both publish.

The state of endpoints does not belong here, see ``sagemaker``.
"""
