"""The state of a survey store: what is missing, what is damaged, and which values are impossible."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..paths import local_path
from ..schema import OBSERVABLES, SCHEMA, Observable
from .checks import faults, in_chunks, measured, read
from .chunks import PROMPTS
from .fit import misfits
from .journal import NAME, Journal
from .metadata import attributes, check_is_group, exists, observed, open_arrays, open_group, runs, variables
from .request import Request, coordinates, group_name

if TYPE_CHECKING:
    import zarr

ROUNDING = 1e-9  #: values may be this far outside their range


class Report(NamedTuple):
    """The findings of :func:`examine` on one survey."""

    path: Path
    about: str  #: the contents of the store, in one line
    n_prompts: int
    missing: tuple[str, ...]  #: ids of prompts not measured yet
    faults: tuple[tuple[str, tuple[str, ...], str], ...] = ()  #: (file, ids of its prompts, what is wrong)
    oddities: tuple[str, ...] = ()  #: impossible values, in words
    remedy: str = ""  #: of the faults
    unknown: tuple[str, ...] = ()  #: variables that a newer version recorded, left unchecked

    @property
    def is_sound(self) -> bool:
        """Whether everything in the store is right, be it complete or not."""
        return not self.faults and not self.oddities

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of text."""
        yield f"{self.path}: {self.about}"
        if not self.n_prompts:
            return
        found = self.n_prompts - len(self.missing)
        yield f"  measured: {found} of {self.n_prompts} prompts" + (_some(", missing", self.missing) if found else "")
        for file, prompts, what in self.faults:
            yield f"  {what}: {file}" + _some(" of prompt", prompts)
        for oddity in self.oddities:
            yield f"  impossible: {oddity}"
        if self.unknown:
            yield f"  unknown to this version, not checked: {', '.join(self.unknown)}"
        if self.faults:
            yield f"  {self.remedy}"


def examine(path: str | Path) -> list[Report]:
    """Check every chunk, every record of the journal, and every value of a store.

    A store that lacks observables which later versions added is sound, and so is one with observables of a newer
    version; the values of the latter are not checked.

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
        If there is no store, its metadata cannot be read, or it has another schema.

    See Also
    --------
    tokengeom_utils.open_results : opens a sound store.

    Notes
    -----
    Explained in the chapter *What a survey costs*.

    Examples
    --------
    >>> from tokengeom_utils.paths import data_path
    >>> report, = examine(data_path("results", "untrained.zarr"))
    >>> report.is_sound, report.n_prompts, report.missing
    (True, 30, ())
    """
    path = local_path(path, "the survey")
    check_is_group(path)
    if not exists(path):
        raise InputError(f"no survey at {path}: check the path, or make one with  tokengeom survey --out {path}")
    made = attributes(open_group(path))
    if "request" not in made:
        return _examine_group(path, made.get("models", []))
    if made["schema"] != SCHEMA:
        raise InputError(
            f"{path} has schema {made['schema']}, but this version reads schema {SCHEMA}: use the version that made it"
        )
    return [_examine_one(path)]


def _examine_group(path, models):
    """Reports on the surveys of several models, and on those that are not begun."""
    there = [file.parent.name for file in sorted(path.glob("[!.]*/zarr.json"))]
    wanted = {group_name(model): model for model in models}
    if not there and not wanted:
        raise InputError(f"{path} is a Zarr group, but not a survey: check the path")
    return [report for name in there for report in examine(path / name)] + [
        Report(path / name, f"{model}, of which nothing is measured yet", 0, ("all",))
        for name, model in wanted.items()
        if name not in there
    ]


def _examine_one(path):
    """The report on one survey."""
    group, arrays = open_arrays(path)
    made = attributes(group)
    request = json.loads(made["request"])
    ids = [prompt for prompt, _ in request["prompts"]]
    about = (
        f"{made['model']}, {len(ids)} prompts of {request['n_tokens']} tokens, "
        f"shuffle degrees {', '.join(map(str, request['shuffles']))}, schema {SCHEMA}"
    )
    if wrong := tuple(
        (f"{name}/zarr.json", tuple(ids), f"shape {found}, not {wanted}")
        for name, found, wanted in misfits(arrays, request)
    ):
        return Report(
            path, about, len(ids), tuple(ids), wrong, remedy="its arrays do not fit its request: measure it again"
        )
    found = tuple(
        (file, tuple(ids if prompts is None else (ids[i] for i in prompts)), what)
        for file, prompts, what in faults(path)
    )
    return Report(
        path,
        about,
        len(ids),
        tuple(np.array(ids)[~measured(group)].tolist()),
        found,
        tuple(_oddities(group, arrays, request, {file.split("/")[0] for file, *_ in found if file != NAME})),
        remedy="rerun the command that made the store: a survey measures these prompts again, and an export or a merge "
        "starts anew once the store is deleted",
        unknown=tuple(name for name in variables(group) if name not in OBSERVABLES),
    )


def _oddities(group: "zarr.Group", arrays: dict[str, Any], request: Request, damaged: set[str]) -> Iterator[str]:
    """Yield what cannot be true of a store, in words."""
    ids, done = [prompt for prompt, _ in request["prompts"]], measured(group)
    for name, (_, wanted) in coordinates(request, [""] * len(ids), arrays["layer"].size).items():
        if name not in {"domain", *damaged} and not np.array_equal(arrays[name][:], wanted):
            yield f"{name} does not follow from the request"
    n_runs, degrees = len(runs(group)), np.array(request["shuffles"])
    expected = done[:, None] & ((degrees == 0) | (np.arange(len(ids))[:, None] < request["n_shuffled"]))
    step = arrays["run"].chunks[0] * max(1, PROMPTS // arrays["run"].chunks[0])
    with Journal(group) as journal:
        held = in_chunks(group) & (journal.runs < 0)
        for part in (slice(start, min(start + step, len(ids))) for start in range(0, len(ids), step)):
            values = read(journal, observed(arrays), part, held, damaged)
            run = values.pop("run") if "run" not in damaged else np.array([])
            for i in np.flatnonzero((run >= n_runs) | (run < -1)).tolist():
                yield f"prompt {ids[part][i]} was measured by run {run[i]}, but the number of runs is {n_runs}"
            for name in values:
                if name in OBSERVABLES and name not in damaged:
                    for i, s, kind in _impossible(OBSERVABLES[name], values[name], expected[part]):
                        yield f"{name} of prompt {ids[part][i]} at degree {degrees[s]} is {kind}"


def _impossible(row: Observable, values: np.ndarray, expected: np.ndarray) -> Iterator[tuple[int, int, str]]:
    """Yield the measurements (prompt, shuffle) of an observable that are out of range or missing."""
    outside = (values < row.low - ROUNDING) | (values > row.high + ROUNDING)
    # NaN is a valid answer where too few tokens are distinct, but not for all values of a prompt.
    empty = np.isnan(values).reshape(*expected.shape, -1).all(-1) & (not row.optional)
    for kind, wrong in (
        (f"outside {row.low} to {row.high}", outside.reshape(*expected.shape, -1).any(-1)),
        ("missing", empty),
    ):
        for i, s in np.argwhere(wrong & expected):
            yield int(i), int(s), kind


def _some(label: str, ids: Sequence[str]) -> str:
    """The first few ids after a label; empty if there are none."""
    shown = ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"{label} {shown}" if ids else ""
