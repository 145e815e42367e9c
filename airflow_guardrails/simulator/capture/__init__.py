"""
Captured requests and responses: which become records, and the files in S3 that hold them.

Whether a fleet captures at all is decided in ``sagemaker.capture_rules``.
"""
