"""The provenance of a run: model, device, commit, and versions."""

import platform
import re
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.language_model import LanguageModel
from ..processor import facts
from ..version import __version__

if TYPE_CHECKING:
    import torch

PACKAGE = Path(__file__).parents[1]
ADDRESS = re.compile(r"(?:https://|ssh://git@|git@)[\w.:/~-]+")  #: one that leads to no folder and holds no password


def provenance(model: LanguageModel, profile: str = "", batch: int = 1) -> dict[str, Any]:
    """Return how the numbers of a run are made, as JSON values by name.

    Parameters
    ----------
    model : LanguageModel
    profile : str
        Name of the profile, if there is one.
    batch : int
        Measurements per forward pass.

    Returns
    -------
    dict

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> made = provenance(tg.tiny_model())
    >>> made["dtype"], made["batch"]
    ('torch.float32', 1)
    """
    return {
        "model_fingerprint": model.fingerprint,
        "dtype": str(model.network.dtype),
        "batch": batch,
        "device": _device_name(model.device),
        "profile": profile,
        "commit": commit(),
        "versions": versions(),
    }


def _device_name(device: "torch.device") -> str:
    """The name of a GPU or of the processor."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return facts().get("model name", platform.processor()) or device.type


@lru_cache
def commit() -> str:
    """Return the commit of the checkout, with a plus if the package was changed since; empty outside a checkout."""
    head = _git("rev-parse", "HEAD")
    return head + "+" if _git("status", "--porcelain", "--untracked-files=no", "--", str(PACKAGE)) else head


@lru_cache
def address() -> str:
    """Return where git fetched the checkout from, if others can use that address; empty otherwise."""
    found = _git("remote", "get-url", "origin")
    return found if ADDRESS.fullmatch(found) else ""


def _git(*words):
    """What git prints on the checkout that holds the package; empty outside one, or where git fails."""

    def run(*words):
        command = ["git", "-C", str(PACKAGE), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return run(*words) if Path(run("rev-parse", "--show-toplevel")) == PACKAGE.parent else ""
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions() -> dict[str, str]:
    """Return the versions of the packages that the numbers depend on.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> sorted(versions())[-1]
    'transformers'
    """
    names = ("torch", "transformers", "tokenizers", "numpy", "numba", "scipy")
    return {
        "tokengeom-utils": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
    }
