"""
How a task finds, reads and aborts a rollout that another task started.

Nothing here starts an update. Arguments and ``execute`` belong to ``operators.conclude`` and
``operators.abort``.
"""
