"""Surveys of one request in several stores, joined into one: each student of a class measures some texts."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..paths import local_path
from .files import put_in_place, scratch, sweep
from .fit import check_free
from .layout import held_variables, pack
from .lock import StoreLock, check_writable
from .metadata import exists
from .request import UNRECORDED
from .results import open_results

if TYPE_CHECKING:
    import xarray as xr

#: what all surveys must share, by name in the request or in the attributes; their shuffles are compared apart
SHARED = ("model_fingerprint", "dtype", "n_tokens", "seed", "scale_max", "k_max", "bos")
AGREE = 0.01  #: of the largest value: two measurements of one prompt may differ by this, as computers round differently
TEXTS = ("prompt", "domain", "sha256")  #: the coordinates that are texts
ROUNDED = ("tied_tokens",)  #: a count that rounding alone can change


class Part(NamedTuple):
    """One of the surveys."""

    name: str  #: of the store, with as many folders above it as tell it from the others
    results: "xr.Dataset"
    request: dict[str, Any]
    runs: list[dict[str, Any]]


def merge(
    stores: Sequence[str | Path],
    out: str | Path,
    prefix: bool = False,
    say: Callable[[str], object] | None = None,
    advance: Callable[[int], object] | None = None,
) -> "xr.Dataset":
    """Join surveys that differ only in their prompts into one packed store.

    Every complete prompt is taken over with the provenance of the run that measured it, to which the name of its store
    is added as ``origin``: ``ann.zarr``, or ``ann/survey.zarr`` where several stores are named alike. Prompts with
    shuffles come first, otherwise they keep the order of the stores. A prompt that two stores measured alike is taken
    from the first.

    Parameters
    ----------
    stores : sequence of path
        At least two surveys of the same weights, with the same number of tokens, seed, scales, and neighbors. A survey
        without shuffles may be joined to ones with shuffles.
    out : path
        The store to write; nothing may be there. It is whole or absent, whenever the work stops.
    prefix : bool
        Put the name of its store in front of each prompt's id, for texts that share a name: ``ann.zarr`` and ``essay``
        make ``ann/essay``, and so do ``ann/survey.zarr`` and ``essay`` if all stores are named ``survey.zarr``.
    say : callable, optional
        Called with a line of text on what is left out.
    advance : callable, optional
        Called with the number of stores that are read.

    Returns
    -------
    xarray.Dataset
        The merged survey, from :func:`tokengeom_utils.open_results`.

    Raises
    ------
    InputError
        If there are fewer than two stores, a parameter or the model differs, one prompt has different texts or
        different values in two stores, or something is at ``out``. The message names the difference.

    See Also
    --------
    tokengeom_utils.survey : measures prompts into a store.
    tokengeom_utils.results.origins : where each prompt of a merged survey was measured.

    Notes
    -----
    Explained in the chapter *What a survey costs*.

    Examples
    --------
    >>> import tempfile
    >>> import tokengeom_utils as tg
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("ann", "ben"):
    ...     text = tg.Prompt(f"{name}'s", "essay", f"This is what {name} wrote. " * 6)
    ...     _ = tg.survey(tg.tiny_model(), [text], out=folder / f"{name}.zarr", n_tokens=64, scale_max=16, k_max=8)
    >>> merged = merge([folder / "ann.zarr", folder / "ben.zarr"], folder / "class.zarr")
    >>> merged.prompt.values.tolist()
    ["ann's", "ben's"]
    """
    out = check_out(out)
    say, advance = say or (lambda line: None), advance or (lambda done: None)
    if len({Path(store).resolve() for store in stores}) < 2:
        raise InputError("a merge needs at least two surveys: name their stores")
    names = _names(stores)
    prefixes = _prefixes(names) if prefix else [""] * len(names)
    parts: list[Part] = []
    for done, store in enumerate(stores):
        parts.append(_read(store, names[done], prefixes[done], say))
        if parts[1:]:
            _check_alike(parts[0], parts[-1])
        advance(done + 1)
    merged = _joined(parts, say)
    _write(merged, out)
    return open_results(out)


def check_out(out: str | Path) -> Path:
    """Check that a store can be made at a path where nothing is; return the path with ``~`` expanded."""
    out = local_path(out, "--out")
    check_free(out)
    check_writable(out)
    if exists(out):
        raise InputError(f"{out} exists: delete it or choose another --out")
    return out


def _names(stores):
    """The names of some stores, with as many folders above each as tell them apart."""
    tails = [Path(store).resolve().parts for store in stores]
    depth = next(n for n in range(1, max(map(len, tails)) + 1) if len({each[-n:] for each in tails}) == len({*tails}))
    return ["/".join(each[-depth:]) for each in tails]


def _prefixes(names):
    """What is put in front of the ids: the names without their ending, or the folders if the rest is the same."""
    paths = [PurePosixPath(name) for name in names]
    alike = len({path.name for path in paths}) == 1 and all(path.parent.name for path in paths)
    found = [str(path.parent if alike else path.with_suffix("")) for path in paths]
    for name in found:
        if found.count(name) > 1:
            raise InputError(f"two stores are named {name}: rename one, as the names go in front of the ids")
    return [f"{name}/" for name in found]


def _read(store, name, prefix, say):
    """Open one survey, with the provenance of its runs and the ids that its prompts get."""
    results = open_results(store)
    request = json.loads(results.attrs["request"])
    if missing := len(request["prompts"]) - results.sizes["prompt"]:
        say(f"left out of {Path(store)}: {missing} of {len(request['prompts'])} prompts, which are not measured yet")
    if prefix:
        results = results.assign_coords(prompt=[f"{prefix}{prompt}" for prompt in results.prompt.values])
    runs = [{"origin": name, **run} for run in json.loads(results.attrs["runs"])]
    return Part(name, results, request, runs)


def _check_alike(first, other):
    """Raise ``InputError`` if two surveys differ in more than their prompts."""
    for name in SHARED:
        kept, found = (_value(part, name) for part in (first, other))
        if kept != found:
            raise InputError(
                f"{other.name} cannot be merged with {first.name}: its {name.removesuffix('_fingerprint')} is {found}, "
                f"not {kept}; measure its prompts again, or leave it out"
            )


def _value(part, name):
    """What a survey records under a name; of the model, also what it is called."""
    held = part.results.attrs
    value = part.request.get(name, held.get(name, UNRECORDED.get(name)))
    return f"{held['model']} ({value})" if name == "model_fingerprint" else value


def _joined(parts, say):
    """One Dataset of all prompts, those with shuffles first."""
    import xarray as xr

    variables = [name for name in held_variables(parts[0].results) if all(name in part.results for part in parts)]
    for part in parts:
        if lost := [name for name in held_variables(part.results) if name not in variables]:
            say(f"left out of {part.name}: {', '.join(lost)}, which not all of the surveys hold")
    degrees = _degrees(parts)
    runs: list[dict[str, Any]] = []
    rows = []
    for part in _without_repetitions(parts, variables, say):
        kept = part.results[[*variables, "run"]].reindex(shuffle=degrees)
        rows.append(kept.assign(run=kept.run + len(runs)))
        runs += part.runs
    joined = xr.concat(rows, "prompt", data_vars="minimal", coords="minimal", combine_attrs="override")
    shuffled = joined.loss.notnull().all("shuffle").values
    joined = joined.isel(prompt=np.argsort(~shuffled, kind="stable"))  # those with shuffles first
    texts = {name: np.array(joined[name].values.tolist(), np.dtypes.StringDType()) for name in TEXTS}
    request = parts[0].request | {
        "prompts": [
            list(pair) for pair in zip(joined.prompt.values.tolist(), joined.sha256.values.tolist(), strict=True)
        ],
        "shuffles": degrees,
        "n_shuffled": int(shuffled.sum()),
    }
    joined = joined.assign_coords({name: ("prompt", values, joined[name].attrs) for name, values in texts.items()})
    joined.attrs = {**parts[0].results.attrs, "request": json.dumps(request), "runs": json.dumps(runs)}
    for name in ("batch", "profile"):  # kept where there is only one
        if len({str(part.results.attrs.get(name)) for part in parts}) > 1:
            del joined.attrs[name]
    return joined


def _degrees(parts):
    """The degrees of shuffling of the merged survey: those of every survey that has any."""
    shuffled = [part for part in parts if part.request["n_shuffled"] and part.request["shuffles"] != [0]]
    for part in shuffled[1:]:
        if part.request["shuffles"] != shuffled[0].request["shuffles"]:
            raise InputError(
                f"{part.name} cannot be merged with {shuffled[0].name}: its shuffles are {part.request['shuffles']}, "
                f"not {shuffled[0].request['shuffles']}; measure its prompts again, or leave it out"
            )
    return shuffled[0].request["shuffles"] if shuffled else [0]


def _without_repetitions(parts, variables, say):
    """Yield the parts without the prompts that an earlier one has; refuse a prompt that is another one there."""
    places: dict[str, tuple[Part, int]] = {}
    for part in parts:
        fresh = []
        for i, name in enumerate(map(str, part.results.prompt.values)):
            if name not in places:
                places[name] = part, i
                fresh.append(i)
                continue
            first, j = places[name]
            _check_same_prompt(name, (first, j), (part, i), variables)
            say(f"prompt {name} is in {first.name} and in {part.name}, with the same values: taken from {first.name}")
        yield part._replace(results=part.results.isel(prompt=fresh))


def _check_same_prompt(name, first, other, variables):
    """Raise ``InputError`` if two stores have different texts under one id, or different numbers for one text."""
    (a, i), (b, j) = first, other
    one, two = a.results.isel(prompt=i), b.results.isel(prompt=j)
    if str(one.sha256.values) != str(two.sha256.values):
        raise InputError(
            f"prompt {name} is one text in {a.name} and another in {b.name}: merge with --prefix, which puts the name "
            "of its store in front of each id"
        )
    for variable in variables:
        x, y = (row[variable].sel(shuffle=0).values.astype(float).ravel() for row in (one, two))
        apart = np.where(np.isnan(x) & np.isnan(y), 0, np.nan_to_num(np.abs(x - y), nan=np.inf))
        most = int(np.argmax(apart))
        if variable not in ROUNDED and apart[most] > AGREE * max(1, np.abs(x[np.isfinite(x)]).max(initial=0)):
            raise InputError(
                f"prompt {name} has different values in {a.name} and {b.name}: {variable} is {x[most]:.4g} and "
                f"{y[most]:.4g}; find out which store is right, and leave the other out"
            )


def _write(merged, out):
    """Write the store aside and put it in place as a whole."""
    lock = StoreLock(out)
    try:
        if exists(out):  # another merge may have made it in between
            raise InputError(f"{out} exists: delete it or choose another --out")
        sweep(out)
        aside = scratch(out)
        try:
            pack(merged, aside)
            put_in_place(aside, out)
        except OSError as error:
            raise InputError(f"{out} cannot be written ({error.strerror or error}): choose another --out") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    finally:
        lock.release(keep=exists(out))
