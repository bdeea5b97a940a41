"""From a token cloud to numbers: neighbors, dimension, overlap, cosine similarity."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["cosine", "dimension", "neighbors", "observer", "overlap", "rank", "records"]
)
