"""What a survey is asked for, and the shapes that follow from it."""

import re

import numpy as np

from ..prompts.shuffle import check_divisible
from ..schema import OBSERVABLES, check_scales


def check_request(n_points, shuffles, scale_max, k_max, n_tokens=None):
    """Raise ``InputError`` if clouds of ``n_points`` cannot be measured as asked."""
    for degree in shuffles:
        check_divisible(n_tokens or n_points, degree)
    check_scales(n_points, scale_max, k_max)


def group_name(model):
    """The name of a model as a group of a store with several.

    >>> group_name("mistralai/Mistral-7B-v0.1")
    'Mistral-7B-v0.1'
    """
    return re.sub(r"[^\w.-]", "-", str(model).rstrip("/").split("/")[-1])


def coordinates(request, domains, n_layers):
    """The coordinates of a survey, name to (dimension, values); all but the domains follow from the request."""
    def text(values):
        return "prompt", np.array(values, np.dtypes.StringDType())

    return {
        "shuffle": ("shuffle", np.array(request["shuffles"])), "layer": ("layer", np.arange(n_layers)),
        "scale": ("scale", 2 ** np.arange(1, request["scale_max"].bit_length())),
        "k": ("k", np.arange(1, request["k_max"] + 1)), "prompt": text([name for name, _ in request["prompts"]]),
        "domain": text(domains), "sha256": text([hash_ for _, hash_ in request["prompts"]]),
    }


def misfits(arrays, request):
    """Yield (name, shape, expected shape) of each array whose size differs from the request."""
    sizes = {"prompt": len(request["prompts"]), "shuffle": len(request["shuffles"]), "k": request["k_max"],
             "scale": request["scale_max"].bit_length() - 1, "layer": arrays["layer"].size}
    dims = {**{name: (name,) for name in sizes}, **{name: ("prompt",) for name in ("domain", "sha256", "run")},
            **{name: ("prompt", "shuffle", *row.dims) for name, row in OBSERVABLES.items()}}
    for name, its in dims.items():
        if name not in arrays:
            continue
        wanted = tuple(sizes[dim] for dim in its)
        if arrays[name].shape != wanted:
            yield name, arrays[name].shape, wanted
