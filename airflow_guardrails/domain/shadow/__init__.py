"""
Shadow tests: their specification, state, process, report, and the metrics by which they are judged.

Here belong rules about inference experiments and shadow variants. Values of what AWS returned are in
``domain.snapshots``; the statistics are in ``domain.judge``.
"""
