"""
One update of an endpoint: whether to start it, how to wait for it, how it ended, and its report.

All code here is pure: functions and generators over values of ``domain.snapshots``. Calls to AWS belong in
``hooks``, PascalCase keys of the API in ``aws``, and arguments of operators in ``operators`` and ``tasks``.
"""
