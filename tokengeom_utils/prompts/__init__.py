"""The texts: bundled, from Pile-10k, from files; and their shuffling."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["load", "pile", "pocket", "prompt", "shuffle", "texts"])
