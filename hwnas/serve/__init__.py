"""Runs in a browser, while they are made: a list that is live, reports, and two runs side by side.

Nothing is ever written into a run, nothing of it is given out as a file, and nobody gets an answer without
the token.
"""
