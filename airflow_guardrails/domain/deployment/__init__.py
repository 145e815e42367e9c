"""
How SageMaker carries out an update: strategies, sizes of steps, alarms, and how long an update takes.

Here belong SageMaker's documented limits as values that check themselves. What depends on one endpoint, such
as whether a strategy fits its fleets, is in ``domain.preflight``.
"""
