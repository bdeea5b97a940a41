"""Token geometry: measure the cloud of token vectors in every layer of a language model.

    >>> import tokengeom_utils as tg
    >>> model = tg.load_model("smollm2-135m")            # doctest: +SKIP
    >>> prompt = tg.load_prompts("pocket", n=1)[0]        # doctest: +SKIP
    >>> tg.measure(model, prompt).intrinsic_dimension     # doctest: +SKIP

The public names are listed in ``__init__.pyi``, where editors and type checkers find them. Each is imported when it is
first used, so importing the package costs next to nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
