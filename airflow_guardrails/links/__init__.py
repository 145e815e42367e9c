"""
Links to the AWS console, which Airflow shows on a task's page.

They only build URLs from an XCom. No calls to AWS.
"""
