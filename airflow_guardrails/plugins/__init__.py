"""
Airflow plugins: the page "Rollouts".

They read what tasks have reported to Airflow. No calls to AWS.
"""
