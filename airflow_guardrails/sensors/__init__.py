"""
The sensors: wait for a rollout or a shadow test that something else started.

They change nothing in AWS. What they share with the operators belongs to ``tasks``.
"""
