"""A sidecar at work for minutes or hours: does it grow? ``make soak`` measures from outside and judges the curves."""
