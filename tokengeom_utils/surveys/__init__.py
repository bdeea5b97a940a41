"""Many prompts: measure, store, check, and open."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["cluster", "doctor", "export", "measure", "paper", "profiles", "results", "run", "store"]
)
