"""The demo: a good model rolled out and a bad one rolled back, by a real Airflow, without AWS."""
