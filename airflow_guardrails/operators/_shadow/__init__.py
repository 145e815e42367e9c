"""
How shadow tests and shadow variants are created, checked and stopped.

The rules of SageMaker for shadows belong to ``domain.shadow``; waiting for a test belongs to ``tasks``.
"""
