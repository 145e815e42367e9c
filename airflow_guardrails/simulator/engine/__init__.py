"""
What all simulated services share: clock, faults, knobs, errors, validation and the event bus.

Code of a single service does not belong here.
"""
