"""
How the data of a shadow test is read and passed to the judge.

The statistics belong to ``domain.judge``, the comparison of predictions to ``domain.predictions``.
"""
