"""Simulated series of production and candidate, and the results of two judges on them."""
