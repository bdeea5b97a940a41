"""A tiny model with surveys of it at two lengths, for reports that have something to compare with."""

import random
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import tokengeom_utils as tg

WORDS = [
    "the",
    "a",
    "river",
    "mill",
    "town",
    "road",
    "of",
    "and",
    "turns",
    "past",
    "old",
    "new",
    "stone",
    "water",
    "light",
    "we",
    "they",
    "saw",
    "went",
    "under",
    "over",
    "among",
    "these",
]
SIZES = {"n_tokens": 256, "scale_max": 64, "k_max": 8}
N_PROMPTS = 24
_folder = TemporaryDirectory(prefix="surveyed")  # removed with the process


def prose(seed, n_words, n_known=None):
    """A text of common words in random order."""
    return " ".join(random.Random(seed).choices(WORDS[:n_known], k=n_words))


def prompts(n=N_PROMPTS):
    """Prompts of two kinds in turn; one of them has few words, and so few letters."""
    return [
        tg.Prompt(f"plain-{i}", "plain", prose(i, 120)) if i % 2 else tg.Prompt(f"poor-{i}", "poor", prose(i, 120, 3))
        for i in range(n)
    ]


@cache
def make():
    """Survey the prompts, once for all tests; return the model and the path of the survey."""
    model, store = tg.tiny_model(), Path(_folder.name, "survey.zarr")
    tg.survey(model, prompts(), (0, 4), store, n_shuffled=12, **SIZES)
    return model, store
