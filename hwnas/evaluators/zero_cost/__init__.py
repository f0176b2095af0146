"""Scores of networks that nobody trained: what their random weights make of a few images."""
