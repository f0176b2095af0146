"""Latency models: what a whole network will need on a target, and how sure that is."""
