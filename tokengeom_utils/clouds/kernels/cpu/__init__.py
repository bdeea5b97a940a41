"""Compiled loops for a CPU: the same numbers in less time."""
