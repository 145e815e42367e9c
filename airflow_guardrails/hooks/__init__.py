"""
The only place that calls AWS: each call once, as a sync and an async method.

Here belong clients, sessions, credentials, and what a killed task still calls. Parsing belongs in ``aws``,
decisions belong in ``domain``. Modules that begin with ``_`` are internal.
"""
