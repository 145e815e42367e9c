"""
Comparison of captured predictions: which requests of the two variants belong together, and do the answers
agree?

Here belong the rule, the parsing of answers, the join, the counts of an hour, and the judgement of their
share. Reading files from S3 and the format of SageMaker's capture files do not belong here.
"""
