"""
What an analysis and alarms would have done in the last days, on the fleet that serves.

Here belong random splits of past requests, the judge run on them, and the evaluation of alarms on past data.
"""
