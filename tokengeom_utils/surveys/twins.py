"""Several untrained twins of the bundled model: how much an observable depends on the draw of the weights."""

from typing import TYPE_CHECKING

from ..paths import data_path
from .results import open_results

if TYPE_CHECKING:
    import xarray as xr

#: columns of the table, each an observable of a survey at one coordinate
COLUMNS: dict[str, tuple[str, dict[str, int]]] = {
    "dimension_2": ("intrinsic_dimension", {"scale": 2}),
    "dimension_8": ("intrinsic_dimension", {"scale": 8}),
    "overlap_2": ("neighborhood_overlap", {"k": 2}),
    "cosine": ("cosine_similarity", {}),
    "angle": ("neighbor_angle", {}),
}
INDEX = ("twin", "prompt", "shuffle", "layer")


def open_twins() -> "xr.Dataset":
    """Open what several untrained twins of the bundled model show on one prompt of each kind of text.

    Returns
    -------
    xarray.Dataset
        Dimensions ``twin, prompt, shuffle, layer, scale, k``, where ``twin`` is the seed of the weights. A few of the
        variables of a survey, in order and after a full shuffle, in the layers after the embeddings. Twin 0 is that of
        ``open_results("untrained")``; of the others the repository holds no more than these numbers, to four digits.

    See Also
    --------
    open_results : the survey of one twin, ``"untrained"``.
    load_model : loads twins, as ``"untrained-1:NAME"``.

    Notes
    -----
    Introduced in the chapter *The untrained twin: what does learning add?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> twins = tg.open_twins()
    >>> twins.twin.values.tolist(), twins.sizes["prompt"], twins.shuffle.values.tolist()
    ([0, 1, 2, 3], 15, [0, 5])
    """
    import pandas
    import xarray as xr

    rows = pandas.read_csv(data_path("results", "twins.csv"))
    others = rows.set_index(list(INDEX)).to_xarray().sel(prompt=rows.prompt.unique())
    first = columns(open_results("untrained")).sel({name: others[name].values for name in INDEX[1:]})
    twins = xr.concat([first.expand_dims(twin=[0]), others], "twin", coords="minimal", compat="override", join="exact")
    by_scale = pandas.Index([2, 8], name="scale")
    return xr.Dataset(
        {
            "intrinsic_dimension": xr.concat([twins.dimension_2, twins.dimension_8], by_scale).transpose(*INDEX, ...),
            "neighborhood_overlap": twins.overlap_2.expand_dims(k=[2], axis=-1),
            "cosine_similarity": twins.cosine,
            "neighbor_angle": twins.angle,
        }
    )


def columns(results: "xr.Dataset") -> "xr.Dataset":
    """Return the columns of the table from a survey, (prompt, shuffle, layer), without the embeddings.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`open_results`.

    Returns
    -------
    xarray.Dataset
    """
    picked = {name: results[variable].sel(at).drop_vars([*at]) for name, (variable, at) in COLUMNS.items()}
    return type(results)(picked).sel(layer=slice(1, None)).transpose("prompt", "shuffle", "layer")
