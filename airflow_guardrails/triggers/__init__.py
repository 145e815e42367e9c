"""
The triggers: they wait in the triggerer for rollouts and shadow tests.

Here belong one public module for each trigger, its state as JSON, and the poller that all waits share. No
blocking calls, and no decisions about outcomes. Modules that begin with ``_`` are internal.
"""
