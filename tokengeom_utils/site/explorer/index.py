"""The index of the explorer: its prompts, and the curves of the survey and of the paper, as a script."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from ...prompts.pocket import read_pocket_manifest
from ...prompts.prompt import Prompt
from ...surveys.paper import open_paper
from .clouds import K_LOCAL, LOCAL_STEP, LOSS_STEP, NONE, RIM, K

#: what the curves show: name, label, and the place in the survey
CURVES = {
    "intrinsic_dimension": ("intrinsic dimension", {"scale": 2}),
    "neighborhood_overlap": ("neighborhood overlap", {"k": 2}),
    "cosine_similarity": ("cosine similarity", {}),
}


def index_script(results: xr.Dataset, prompts: Sequence[Prompt], clouds: Sequence[tuple[int, int]]) -> str:
    """Return the script that tells the explorer what it can show.

    Parameters
    ----------
    results : xarray.Dataset
        The survey.
    prompts : sequence of Prompt
        As in the survey's plan.
    clouds : sequence of (int, int)
        Places in ``prompts``, and degrees of shuffling, of the clouds that have a file.

    Returns
    -------
    str
    """
    known = set(results.prompt.values.tolist())
    shown = {place: prompts[place] for place, _ in clouds if prompts[place].id in known}
    sources = {row["sha256"]: f"{row['file']} in {row['package']} {row['version']}" for row in read_pocket_manifest()}
    data = {
        "model": results.attrs["model"],
        "tokens": int(results.attrs["n_tokens"]),
        "layers": results.sizes["layer"],
        "degrees": results.shuffle.values.tolist(),
        "k": K,
        "local": K_LOCAL,
        "rim": RIM,
        "steps": {"local": LOCAL_STEP, "loss": LOSS_STEP, "none": NONE},
        "prompts": [
            {
                "id": prompt.id,
                "kind": prompt.domain,
                "place": place,
                "source": sources.get(prompt.sha256, ""),
                "degrees": [degree for other, degree in clouds if other == place],
            }
            for place, prompt in shown.items()
        ],
        "curves": {name: _curves(results, name, shown, clouds) for name in CURVES},
    }
    return f"tokengeomIndex({json.dumps(data, ensure_ascii=False, separators=(',', ':'))});\n"


def _curves(results, name, shown, clouds):
    """One observable by layer: of each cloud, of all prompts of the survey, and of the paper's models."""
    label, place = CURVES[name]
    values = results[name].sel(place)
    return {
        "label": label,
        "own": {
            f"{at}-{degree}": _numbers(values.sel(prompt=shown[at].id, shuffle=degree))
            for at, degree in clouds
            if at in shown
        },
        "survey": {
            degree: {"mean": _numbers(every.mean("prompt")), "sd": _numbers(every.std("prompt", ddof=1))}
            for degree, every in ((int(degree), values.sel(shuffle=degree)) for degree in values.shuffle)
        },
        "paper": _of_the_paper(name, *place.values(), last=results.sizes["layer"] - 1),
    }


def _of_the_paper(name, at=None, last=32):
    """The paper's mean curves, its layers stretched to the depth of this model."""
    table = open_paper("profiles").query("observable == @name")
    table = table[table.scale == at] if at else table
    return {
        int(degree): {
            model: {"layer": _numbers(rows.depth * last), "mean": _numbers(rows["mean"])}
            for model, rows in those.groupby("model")
        }
        for degree, those in table.groupby("shuffle")
    }


def _numbers(values):
    """Numbers for a curve, with None where there is no value."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in np.asarray(values)]
