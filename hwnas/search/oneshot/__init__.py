"""Searches in one supernet: gates trained beside shared weights."""
