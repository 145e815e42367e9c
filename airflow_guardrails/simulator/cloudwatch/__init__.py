"""
Metrics, alarms, their evaluation and their history.

Which metrics SageMaker publishes does not belong here, see ``serving``.
"""
