"""The state of a survey store: what is missing, what is damaged, what cannot be true."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import store
from .errors import InputError
from .results import SCHEMA, VARIABLES

#: what a value can be, whatever the model
RANGES = {
    "intrinsic_dimension": (0, np.inf), "intrinsic_dimension_error": (0, np.inf), "logit_dimension": (0, np.inf),
    "logit_dimension_error": (0, np.inf), "neighborhood_overlap": (0, 1), "cosine_similarity": (-1, 1),
    "cosine_similarity_std": (0, 1), "cosine_similarity_distinct": (-1, 1), "neighbor_angle": (0, 180),
    "loss": (0, np.inf), "entropy": (0, np.inf), "top_mass": (0, 1), "top_entropy": (0, np.inf),
    "top_width": (0, np.inf), "bleu": (0, 1), "duplicate_tokens": (0, np.inf), "tied_tokens": (0, np.inf),
    "distinct_tokens": (1, np.inf),
}
ROUNDING = 1e-9


class Report(NamedTuple):
    """What :func:`examine` found."""

    path: Path
    about: str  #: what the store holds, in one line
    n_prompts: int
    missing: tuple  #: ids of prompts not measured yet
    faults: tuple  #: (file, ids of its prompts, what is wrong)
    oddities: tuple  #: values that cannot be, in words

    @property
    def is_sound(self):
        """Nothing that is there is wrong."""
        return not self.faults and not self.oddities

    def lines(self):
        """The report as lines of text."""
        yield f"{self.path}: {self.about}"
        found = self.n_prompts - len(self.missing)
        yield f"  measured: {found} of {self.n_prompts} prompts" + (_some(", missing", self.missing) if found else "")
        for file, prompts, what in self.faults:
            yield f"  {what}: {file}" + _some(" of prompt", prompts)
        for oddity in self.oddities:
            yield f"  impossible: {oddity}"
        if self.faults:
            yield "  the command that made the survey measures prompts with a missing or damaged chunk again"


def examine(path):
    """Check every chunk and every value of a store.

    Parameters
    ----------
    path : path
        A store, or a group of several.

    Returns
    -------
    list of Report
        One for each survey at ``path``.

    Raises
    ------
    InputError
        If there is none, its metadata cannot be read, or it has another schema.
    """
    path = Path(path)
    if not store.exists(path):
        raise InputError(f"no survey at {path}")
    group = store.open_group(path)
    attributes = dict(group.attrs)
    if "request" not in attributes:
        models = sorted(name for name, _ in group.groups())
        if not models:
            raise InputError(f"{path} is not a survey store")
        return [report for model in models for report in examine(path / model)]
    if attributes["schema"] != SCHEMA:
        raise InputError(f"{path} has schema {attributes['schema']}, this version reads schema {SCHEMA}")
    request = json.loads(attributes["request"])
    ids = [prompt for prompt, _ in request["prompts"]]
    faults = tuple((file, tuple(ids if prompts is None else ids[prompts]), what)
                   for file, prompts, what in store.faults(path))
    done = store.measured(group)
    return [Report(
        path, f"{attributes['model']}, {len(ids)} prompts of {request['n_tokens']} tokens, "
        f"shuffle degrees {', '.join(map(str, request['shuffles']))}, schema {SCHEMA}",
        len(ids), tuple(np.array(ids)[~done]), faults,
        tuple(_oddities(group, done, ids, request, {file.split("/")[0] for file, *_ in faults})),
    )]


def _oddities(group, done, ids, request, damaged):
    for name in VARIABLES:
        if name in damaged:
            continue
        values, (low, high) = group[name][:], RANGES[name]
        expected = np.zeros(values.shape[:2], bool)
        for i in np.flatnonzero(done):
            expected[i, [s == 0 or i < request["n_shuffled"] for s in request["shuffles"]]] = True
        # Rounding apart. NaN is an answer where too few tokens are distinct, but not for a whole prompt.
        outside = (values < low - ROUNDING) | (values > high + ROUNDING)
        empty = np.isnan(values).reshape(*values.shape[:2], -1).all(-1) & (name not in MAY_BE_EMPTY)
        for kind, wrong in ((f"outside {low} to {high}", outside.reshape(*expected.shape, -1).any(-1)),
                            ("missing", empty)):
            for i, s in np.argwhere(wrong & expected):
                yield f"{name} of prompt {ids[i]} at degree {request['shuffles'][s]} is {kind}"


#: not defined for models that bend their logits
MAY_BE_EMPTY = ("logit_dimension", "logit_dimension_error")


def _some(label, ids):
    shown = ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"{label} {shown}" if ids else ""
