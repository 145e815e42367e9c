"""
The start of a guarded update: intent, abort switch, preflight, UpdateEndpoint, and the adoption of earlier
tries.

Waiting for the end of the update belongs to ``tasks``; the rules that decide what to do belong to
``domain.rollout.launch``.
"""
