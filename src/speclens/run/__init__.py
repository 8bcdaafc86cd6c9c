"""The folder of a run, and the processes that work on it."""
