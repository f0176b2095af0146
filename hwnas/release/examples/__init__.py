"""Programs that are copied into every shipping folder.

One a runtime, which lacks two parts: the functions of the task, and what all of them share (``shared.py``).
"""
