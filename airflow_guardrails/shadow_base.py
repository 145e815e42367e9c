"""What operators and sensor of shadow tests have in common."""
