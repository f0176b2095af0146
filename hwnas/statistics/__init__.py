"""What may be said of numbers: intervals, exact tests, outward bounds, verdicts."""
