"""The mathematics beside the measurements: mean-field dynamics, transport, shapes, logits, statistics."""

import lazy_loader

MODULES = ["logits", "meanfield", "shapes", "statistics", "transport"]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, MODULES)
