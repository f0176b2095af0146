"""Searches that ask for an architecture, are told its score, and ask again."""
