"""
Test your DAGs without AWS, in simulated time: fixtures for pytest.

pytest finds them by itself. ``docs/testing.md`` has a whole example.
"""
