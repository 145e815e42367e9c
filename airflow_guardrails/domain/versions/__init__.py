"""Versions of models, the history of an endpoint, and what may be deployed, gone back to, or deleted."""
