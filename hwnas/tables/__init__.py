"""Latency tables: raw rounds, the clock beneath them, and what follows from both."""
