"""
AWS's wire format: requests from values, values from responses, error codes.

Here belong the API's PascalCase keys, and how a response is read. No calls, no boto3 clients, no Airflow, no
decisions about outcomes.
"""
