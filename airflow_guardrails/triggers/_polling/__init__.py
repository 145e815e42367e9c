"""
One poller and one set of clients for all waits of a connection in a process.

Here belong the timing and sharing of calls. ``domain/polling.py`` plans what to call when; ``domain/rollout``
and ``domain/shadow`` decide what a look means.
"""
