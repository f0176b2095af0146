"""Searches under a latency budget, one strategy a file."""
