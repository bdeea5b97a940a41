"""The Dataset of a store that lacks some observables: it explains why when one of them is requested."""

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import InputError
from ..schema import OBSERVABLES


class MissingVariable(InputError, AttributeError, KeyError):
    """A requested observable that a store does not hold.

    It is an AttributeError and a KeyError as well, so ``hasattr``, ``in`` and ``get`` work as for any Dataset.
    """

    __str__ = Exception.__str__  # KeyError would put the message in quotes


class SurveyDataset(xr.Dataset):
    """A Dataset that raises :class:`MissingVariable` for the observables in ``encoding["lacks"]``, name to message.

    All operations are those of :class:`xarray.Dataset`, and most of them keep the messages.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            self._explain(name)
            raise

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError:
            for name in [key] if isinstance(key, Hashable) else key:
                self._explain(name)
            raise

    def _explain(self, name: Hashable) -> None:
        """Raise ``MissingVariable`` for an observable that the store lacks."""
        if name in OBSERVABLES and name not in self.variables and (message := self.encoding.get("lacks", {}).get(name)):
            raise MissingVariable(message) from None


def explained(results: xr.Dataset, lacks: Mapping[str, str]) -> SurveyDataset:
    """Return the same Dataset with messages for the observables it lacks.

    Parameters
    ----------
    results : xarray.Dataset
    lacks : mapping of str to str
        From :func:`lacking`.

    Returns
    -------
    SurveyDataset

    Examples
    --------
    >>> results = explained(xr.Dataset({"loss": ("prompt", [3.0])}), {"entropy": "no entropy was measured"})
    >>> results.isel(prompt=0).entropy
    Traceback (most recent call last):
    ...
    tokengeom_utils.surveys.dataset.MissingVariable: no entropy was measured
    >>> "entropy" in results, hasattr(results, "entropy")
    (False, False)
    """
    found = SurveyDataset(results.data_vars, results.coords, results.attrs)
    found.encoding = {**results.encoding, "lacks": dict(lacks)}
    return found


def lacking(path: str | Path, held: tuple[str, ...], version: str) -> dict[str, str]:
    """Return why a store lacks some observables of the table.

    Parameters
    ----------
    path : path
        Named in the messages.
    held : tuple of str
        The observables that the store holds.
    version : str
        The version of this package that made the store.

    Returns
    -------
    dict of str to str
        For each observable that the store lacks, which one it is, why, and what to do.
    """
    messages = {}
    for row in OBSERVABLES.values():
        if row.name not in held:
            was_older = _numbers(version) < _numbers(row.since)
            why = f"was made before version {row.since} added it" if was_older else "was written without it"
            messages[row.name] = (
                f"{path} does not hold {row.name}: the store {why}; measure the prompts again with "
                f"`tokengeom survey` into a new store, or compute it with tokengeom_utils.{row.function}"
            )
    return messages


def _numbers(version):
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
