"""Checkers of the exercises: each tries an attempt where the answer is known and gives a hint."""

from .exercises import *  # noqa: F403
