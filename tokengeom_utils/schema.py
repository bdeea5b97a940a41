"""The observables: one table, read by stores, the doctor, exports, documentation, and tests.

Each row lists an observable's dimensions, units, range, and the function that defines it. A new observable needs a row
here, its function, and a test; the rest follows from the row.

>>> OBSERVABLES["cosine_similarity"].dims
('layer',)
>>> OBSERVABLES["neighbor_angle"].attributes
{'long_name': 'mean angle between first and second neighbor', 'units': 'degree'}
"""

from math import inf
from typing import NamedTuple

from .errors import InputError

SCHEMA = 3  #: version of a store's layout; stores of other layouts are refused
SCALE_MAX, K_MAX = 256, 31  #: defaults: largest range scaling, and largest number of neighbors
TOP = 7  #: number of likeliest tokens summarized: the paper's mean intrinsic dimension of the logits


class Observable(NamedTuple):
    """A quantity that a survey stores for each prompt and degree of shuffling."""

    name: str
    dims: tuple[str, ...]  #: dimensions of one measurement; a store adds (prompt, shuffle) in front
    long_name: str
    units: str
    low: float  #: smallest possible value
    high: float  #: largest possible value
    function: str  #: dotted name, below ``tokengeom_utils``, of the function that defines it
    per_cloud: bool = False  #: the Observer calls ``function(cloud)`` once per layer to compute it,
    of_layer: str = ""  #: unless this field of the Layer record holds it already
    optional: bool = False  #: undefined for some models, so a whole prompt may hold NaN
    since: str = "0.1"  #: version that introduced it; older stores lack it

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of its array, following the CF conventions."""
        return {"long_name": self.long_name, "units": self.units}


_GRIDE = "clouds.dimension.gride_scales"
_COSINE = "clouds.cosine.cosine_similarity"
_NEIGHBORS = "clouds.neighbors.nearest_neighbors"
_PREDICTIONS = "models.predictions.Predictions"

_ROWS = (
    Observable("intrinsic_dimension", ("layer", "scale"), "intrinsic dimension (GRIDE)", "1", 0, inf, _GRIDE),
    Observable(
        "intrinsic_dimension_error",
        ("layer", "scale"),
        "standard error of the intrinsic dimension",
        "1",
        0,
        inf,
        _GRIDE,
    ),
    Observable("duplicate_tokens", ("layer",), "tokens that coincide with an earlier one", "1", 0, inf, _NEIGHBORS),
    Observable(
        "tied_tokens",
        ("layer",),
        "tokens with equally distant neighbors among the first k_max + 1",
        "1",
        0,
        inf,
        _NEIGHBORS,
    ),
    Observable(
        "neighborhood_overlap",
        ("layer", "k"),
        "neighborhood overlap of layer and layer + 1",
        "1",
        0,
        1,
        "clouds.overlap.neighborhood_overlap",
    ),
    Observable("cosine_similarity", ("layer",), "mean cosine similarity, self-pairs included", "1", -1, 1, _COSINE),
    Observable("cosine_similarity_std", ("layer",), "standard deviation of the cosine similarity", "1", 0, 1, _COSINE),
    Observable(
        "cosine_similarity_distinct", ("layer",), "mean cosine similarity of distinct tokens", "1", -1, 1, _COSINE
    ),
    Observable(
        "neighbor_angle",
        ("layer",),
        "mean angle between first and second neighbor",
        "degree",
        0,
        180,
        "clouds.neighbors.neighbor_angles",
    ),
    Observable(
        "effective_rank",
        ("layer",),
        "effective rank (participation ratio)",
        "1",
        1,
        inf,
        "clouds.rank.effective_rank",
        per_cloud=True,
        of_layer="participation",
        since="0.2",
    ),
    Observable(
        "logit_dimension",
        ("scale",),
        "intrinsic dimension of the logits (GRIDE)",
        "1",
        0,
        inf,
        "models.extract.logit_cloud",
        optional=True,
    ),
    Observable(
        "logit_dimension_error",
        ("scale",),
        "standard error of the intrinsic dimension of the logits",
        "1",
        0,
        inf,
        "models.extract.logit_cloud",
        optional=True,
    ),
    Observable("loss", (), "mean next-token loss", "nat", 0, inf, "models.extract.stream_clouds"),
    Observable("entropy", (), "mean entropy of the next-token distribution", "nat", 0, inf, _PREDICTIONS),
    Observable("top_mass", (), "mean probability of the seven likeliest next tokens together", "1", 0, 1, _PREDICTIONS),
    Observable(
        "top_entropy", (), "mean part of the entropy from the seven likeliest next tokens", "nat", 0, inf, _PREDICTIONS
    ),
    Observable(
        "top_width", (), "mean difference between the first and the seventh largest logit", "1", 0, inf, _PREDICTIONS
    ),
    Observable("distinct_tokens", (), "distinct tokens in the prompt", "1", 1, inf, "surveys.measure.measure_tokens"),
    Observable("bleu", (), "BLEU score of the prompt against itself in order", "1", 0, 1, "prompts.shuffle.bleu"),
)
OBSERVABLES = {row.name: row for row in _ROWS}  #: every observable by name
#: the observables of the first version, held by stores that do not record their variables
UNRECORDED = tuple(row.name for row in _ROWS if row.since == "0.1")


def check_scales(n_points: int, scale_max: int, k_max: int) -> None:
    """Raise ``InputError`` if clouds are too small for some scales and numbers of neighbors.

    Parameters
    ----------
    n_points : int
        Tokens in a cloud, N.
    scale_max : int
        Largest range scaling, ``2 <= scale_max <= N - 1``.
    k_max : int
        Largest number of neighbors, ``1 <= k_max <= N - 1``.

    Raises
    ------
    InputError
        If a bound is violated.

    Examples
    --------
    >>> check_scales(1024, scale_max=256, k_max=31)
    """
    for name, value, least in (("scale", scale_max, 2), ("k_max", k_max, 1)):
        if value < least:
            raise InputError(f"{name} {value} is too small: the smallest is {least}")
        check_bound(name, value, n_points, "use more tokens or a lower one")


def check_bound(name: str, value: int, n_points: int, remedy: str) -> None:
    """Raise ``InputError`` if a scale or a number of neighbors exceeds N - 1, the neighbors that a token has.

    Parameters
    ----------
    name : str
        What the error calls the value.
    value : int
    n_points : int
        Tokens in a cloud, N.
    remedy : str
        The end of the error.

    Raises
    ------
    InputError

    Examples
    --------
    >>> check_bound("--scale-max", 256, 1024, "lower it")
    """
    if value > n_points - 1:
        raise InputError(f"{name} {value} exceeds N - 1 = {n_points - 1}: {remedy}")
