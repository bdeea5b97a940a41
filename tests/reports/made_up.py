"""Findings with numbers of one's choice, for the sentences and the page."""

import numpy as np
import xarray as xr

from tokengeom_utils.reports.findings import Change, Curve, Findings, Placed
from tokengeom_utils.reports.measuring import FirstToken, MeasuredText, Tokens
from tokengeom_utils.reports.placing import Expected, Nearest, Share

N, N_LAYERS, LAYER = 64, 3, 2
NONE = np.full(N_LAYERS, np.nan)


def share(below, n=300, by_kinds=True):
    """A share with an interval around it."""
    return Share(below, max(0, below - 0.1), min(1, below + 0.1), n, by_kinds)


def placed(value, below=None, error=np.nan, of_kind=None):
    """A number with its places."""
    among = None if below is None else share(below)
    near = None if of_kind is None else share(of_kind, 20, by_kinds=False)
    return Placed("number", "", value, error, 0.0, among, near)


def page_of(loss, dimension, error=0.3):
    """A measurement of the next page."""
    coords = {"layer": np.arange(N_LAYERS + 1), "scale": [2]}
    values = np.full((N_LAYERS + 1, 1), dimension)
    return xr.Dataset(
        {
            "loss": loss,
            "intrinsic_dimension": (("layer", "scale"), values),
            "intrinsic_dimension_error": (("layer", "scale"), np.full_like(values, error)),
        },
        coords,
    )


def tokens(pieces=("a",) * N):
    """Tokens with some values."""
    n = len(pieces)
    surprisal = np.concatenate([[np.nan], np.linspace(0.1, 9, n - 1)])
    return Tokens(list(pieces), surprisal, [("", np.nan), *[("b", 0.25)] * (n - 1)], np.full((N_LAYERS + 1, n), 5.0))


def text(**changes):
    """A measured text."""
    made = MeasuredText("essay.txt", 200, tokens(), None, 3, page_of(2.0, 5.0), FirstToken(1.0, 5.0, 0.5), None)
    return made._replace(**changes)


def curve(inside=(True,) * N_LAYERS):
    """The curve of the dimension, inside the band of the prompts where wanted."""
    layers = np.arange(1, N_LAYERS + 1)
    values = np.where(inside, 5.0, 9.0)
    return Curve(
        "intrinsic dimension", layers, values, NONE, None, *(np.full(N_LAYERS, x) for x in (4.0, 5.0, 6.0)), None
    )


def without_band():
    """The curve of the dimension without prompts."""
    return curve()._replace(low=None, median=None, high=None)


def findings(**changes):
    """Findings among 300 prompts of 15 kinds, with some fields replaced; of ``placed`` and ``changes``, entries."""
    made = Findings(
        text(),
        LAYER,
        N_LAYERS,
        49152,
        300,
        15,
        None,
        {
            "loss": placed(3.0, 0.6),
            "entropy": placed(2.9, 0.6),
            "distinct": placed(40.0, 0.3),
            "dimension": placed(5.0, 0.5, error=0.3),
            "cosine": placed(0.5, 0.5),
        },
        (curve(),),
        Expected(5.2, 1.0, -0.2, 0.3),
        Expected(5.1, 1.0, -0.1, 0.2),
        {"loss": (1.0, 4.0), "distinct": (10, 60)},
        {"loss": Change(3.0, 6.0, np.nan, np.nan, None), "dimension": Change(5.0, 8.0, 0.4, np.nan, None)},
        0.3,
    )
    for name in ("placed", "changes"):
        if isinstance(changes.get(name), dict):
            changes[name] = {**getattr(made, name), **changes[name]} if changes[name] else {}
    return made._replace(**changes)


NEAREST = Nearest("news", np.ones(300, bool), 0.35)
ALONE = {
    "n_prompts": 0,
    "n_kinds": 0,
    "by_loss": None,
    "by_both": None,
    "ranges": {},
    "curves": (without_band(),),
    "placed": {
        name: placed(value, error=error)
        for name, value, error in (
            ("loss", 3.0, np.nan),
            ("entropy", 2.9, np.nan),
            ("distinct", 40.0, np.nan),
            ("dimension", 5.0, 0.3),
            ("cosine", 0.5, np.nan),
        )
    },
}  #: what changes without any prompts
