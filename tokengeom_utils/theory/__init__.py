"""The mathematics beside the measurements: mean-field dynamics, transport, test shapes, statistics."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["logits", "meanfield", "shapes", "statistics", "transport"])
