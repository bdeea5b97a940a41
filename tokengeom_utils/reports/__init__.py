"""Reports: a text of one's own among the prompts of a survey, as one page of HTML."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["report"])
