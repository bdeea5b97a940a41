"""Token geometry: measure the cloud of token vectors in every layer of a language model.

    >>> import tokengeom_utils as tg
    >>> model = tg.load_model("smollm2-135m")            # doctest: +SKIP
    >>> prompt = tg.load_prompts("pocket", n=1)[0]        # doctest: +SKIP
    >>> tg.measure(model, prompt).intrinsic_dimension     # doctest: +SKIP

Names load on first use, so importing the package costs next to nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "InputError": "errors",
    "Prompt": "corpus",
    "load_prompts": "corpus",
    "load_model": "models",
    "load_tokenizer": "models",
    "token_clouds": "extract",
    "shuffle_blocks": "shuffle",
    "nearest_neighbors": "neighbors",
    "neighbor_angles": "neighbors",
    "gride": "dimension",
    "gride_scales": "dimension",
    "two_nn": "dimension",
    "levina_bickel": "dimension",
    "neighborhood_overlap": "overlap",
    "mean_cosine_similarity": "cosine",
    "cosine_similarity": "cosine",
    "intrinsic_dimension": "geometry",
    "observables": "geometry",
    "measure": "surveys",
    "survey": "surveys",
    "open_results": "results",
    "open_paper": "results",
    "loss_correlation": "statistics",
}
_MODULES = ("figures", "meanfield", "overlap", "shapes", "claims", "check")

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name):
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    elif name in _MODULES:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
