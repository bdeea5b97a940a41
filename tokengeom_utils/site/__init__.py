"""The book: executed chapters, figures and the built site."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["build", "figures", "plotted", "words"])
