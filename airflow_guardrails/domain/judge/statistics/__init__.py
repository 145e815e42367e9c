"""
The formulas of the judge, each with its source: intervals, e-values, autocorrelation, overdispersion.

They take numbers and return numbers. Rules, labels, texts and the meaning of missing data belong in the
folder above.
"""
