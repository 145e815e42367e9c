"""
A simulated AWS on a local port: SageMaker endpoints, CloudWatch, and models that really run.

What AWS does belongs here, in AWS's own words. Nothing of the provider may be imported: a misunderstanding of
the API in the provider must not be repeated here.
"""
