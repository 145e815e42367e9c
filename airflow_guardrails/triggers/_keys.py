"""
The XCom keys of the reports.

They are apart from the triggers, because operators need them when a DAG file is parsed, and triggers import
boto3.
"""

REPORT_KEY = "rollout_report"
SHADOW_TEST_REPORT_KEY = "shadow_test_report"
