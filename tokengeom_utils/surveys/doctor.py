"""The state of a survey store: what is missing, what is damaged, what cannot be true."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import store
from .request import coordinates, group_name, misfits
from ..errors import InputError
from ..schema import OBSERVABLES, SCHEMA

ROUNDING = 1e-9


class Report(NamedTuple):
    """What :func:`examine` found."""

    path: Path
    about: str  #: what the store holds, in one line
    n_prompts: int
    missing: tuple  #: ids of prompts not measured yet
    faults: tuple  #: (file, ids of its prompts, what is wrong)
    oddities: tuple  #: values that cannot be, in words
    remedy: str = ""  #: of the faults

    @property
    def is_sound(self):
        """Nothing that is there is wrong."""
        return not self.faults and not self.oddities

    def lines(self):
        """The report as lines of text."""
        yield f"{self.path}: {self.about}"
        if not self.n_prompts:
            return
        found = self.n_prompts - len(self.missing)
        yield f"  measured: {found} of {self.n_prompts} prompts" + (_some(", missing", self.missing) if found else "")
        for file, prompts, what in self.faults:
            yield f"  {what}: {file}" + _some(" of prompt", prompts)
        for oddity in self.oddities:
            yield f"  impossible: {oddity}"
        if self.faults:
            yield f"  {self.remedy}"


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
    attributes = dict(store.open_group(path).attrs)
    if "request" not in attributes:
        there = [file.parent.name for file in sorted(path.glob("[!.]*/zarr.json"))]
        wanted = {group_name(model): model for model in attributes.get("models", [])}
        if not there and not wanted:
            raise InputError(f"{path} is not a survey store")
        return [report for name in there for report in examine(path / name)] + [
            Report(path / name, f"{model}, of which nothing is measured yet", 0, ("all",), (), ())
            for name, model in wanted.items() if name not in there]
    if attributes["schema"] != SCHEMA:
        raise InputError(f"{path} has schema {attributes['schema']}, this version reads schema {SCHEMA}")
    request = json.loads(attributes["request"])
    group, arrays = store.open_arrays(path)
    ids = [prompt for prompt, _ in request["prompts"]]
    about = (f"{attributes['model']}, {len(ids)} prompts of {request['n_tokens']} tokens, "
             f"shuffle degrees {', '.join(map(str, request['shuffles']))}, schema {SCHEMA}")
    if wrong := tuple((f"{name}/zarr.json", tuple(ids), f"shape {found}, not {wanted}")
                      for name, found, wanted in misfits(arrays, request)):
        remedy = "its arrays do not fit its request: make it again"
        return [Report(path, about, len(ids), tuple(ids), wrong, (), remedy)]
    faults = tuple((file, tuple(ids if prompts is None else ids[prompts]), what)
                   for file, prompts, what in store.faults(path))
    is_packed = arrays["run"].chunks[0] > 1
    return [Report(
        path, about, len(ids), tuple(np.array(ids)[~store.measured(group)]), faults,
        tuple(_oddities(group, arrays, request, {file.split("/")[0] for file, *_ in faults})),
        "export it again from the store it was made from" if is_packed else
        "the command that made the survey mends it, and measures prompts with a missing or damaged chunk again",
    )]


def _oddities(group, arrays, request, damaged):
    ids, done = [prompt for prompt, _ in request["prompts"]], store.measured(group)
    for name, (_, wanted) in coordinates(request, [""] * len(ids), arrays["layer"].size).items():
        if name not in {"domain", *damaged} and not np.array_equal(arrays[name][:], wanted):
            yield f"{name} is not what was asked for"
    n_runs = len(json.loads(group.attrs["runs"]))
    for i in [] if "run" in damaged else np.flatnonzero((arrays["run"][:] >= n_runs) | (arrays["run"][:] < -1)):
        yield f"prompt {ids[i]} was measured by run {arrays['run'][i]}, and there are {n_runs} runs"
    for name in store.variables(group):
        if name in damaged or name not in OBSERVABLES:  # a newer version may have added one
            continue
        observable, values = OBSERVABLES[name], arrays[name][:]
        low, high = observable.low, observable.high
        expected = np.zeros(values.shape[:2], bool)
        for i in np.flatnonzero(done):
            expected[i, [s == 0 or i < request["n_shuffled"] for s in request["shuffles"]]] = True
        # Rounding apart. NaN is an answer where too few tokens are distinct, but not for a whole prompt.
        outside = (values < low - ROUNDING) | (values > high + ROUNDING)
        empty = np.isnan(values).reshape(*values.shape[:2], -1).all(-1) & (not observable.optional)
        for kind, wrong in ((f"outside {low} to {high}", outside.reshape(*expected.shape, -1).any(-1)),
                            ("missing", empty)):
            for i, s in np.argwhere(wrong & expected):
                yield f"{name} of prompt {ids[i]} at degree {request['shuffles'][s]} is {kind}"


def _some(label, ids):
    shown = ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"{label} {shown}" if ids else ""
