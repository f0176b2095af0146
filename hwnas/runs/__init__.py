"""The folder of a run: places that results go to, and the records in it."""
