"""From a text to token clouds: language models, their hidden states and predictions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["extract", "language_model", "load", "locate", "predictions", "tiny"]
)
