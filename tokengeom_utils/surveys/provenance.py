"""How the numbers of a run were made: model, device, commit and versions."""

import platform
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from ..processor import facts
from ..version import __version__


def provenance(model, profile="", batch=1):
    """How the numbers of a run are made, as a dict of JSON values."""
    return {
        "model_fingerprint": model.fingerprint, "dtype": str(model.network.dtype), "batch": batch,
        "device": _device_name(model.device), "profile": profile, "commit": _commit(), "versions": versions(),
    }


def _device_name(device):
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return facts().get("model name", platform.processor()) or device.type


@lru_cache
def _commit():
    """The commit of the checkout, with a plus if it was changed since; empty outside a checkout."""
    here = Path(__file__).parents[1]

    def git(*words):
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True).stdout

    try:
        if Path(git("rev-parse", "--show-toplevel").strip()) != here.parent:
            return ""
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(here))
        return git("rev-parse", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions():
    """Versions of what the numbers depend on."""
    names = ("torch", "transformers", "tokenizers", "numpy", "numba", "scipy")
    return {"tokengeom-utils": __version__, "python": platform.python_version(),
            **{name: metadata.version(name) for name in names}}
