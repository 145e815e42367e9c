"""
The demo: a real Airflow and a simulated AWS on this machine; a good model is rolled out, bad ones are not.

Code that users need does not belong here.
"""
