"""
The comparison of the old and the new fleet while an update bakes.

Here belong its settings, the metrics it reads, and how long an update can still be aborted. The statistics
are in ``domain.judge``; the process that reads and aborts is ``domain.rollout.canary_process``.
"""
