"""Where the files of a model are, and the fingerprint that identifies them."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from .bundled import BUNDLED, SHA256, bundled_folder, check_bundled, sha256
from .hub import NAME, cached, model_files
from .safety import find_weights, without_weights
from .untrained import UNTRAINED

# The files of a folder that, besides its weights, decide what the model computes.
IDENTITY = (
    "config.json",
    "tokenizer*",
    "*.model",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.tiktoken",
)


class Source(NamedTuple):
    """The files of a model."""

    folder: Path
    options: dict[str, str]  #: arguments for ``from_pretrained`` of transformers: the GGUF file, if there is one
    fingerprint: str  #: identifies the weights: a hash, or the commit on the Hub


def locate(name: str, weights: bool = True) -> Source:
    """Find the files of a model; fetch them from the Hub if necessary.

    Parameters
    ----------
    name : str
        As for :func:`~tokengeom_utils.models.load.load_model`, without the prefix ``untrained:``.
    weights : bool
        False if only the configuration and the tokenizer are needed.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        If there is no such model, no access to it, or no weights in a safe format.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> content = (folder / "config.json").write_text("{}")
    >>> locate(str(folder), weights=False).fingerprint[:7]
    'sha256:'
    """
    path = Path(os.path.expanduser(name))
    if name == BUNDLED:
        folder = check_bundled() if weights else bundled_folder()
        if not folder.is_dir():
            check_bundled()  # raises the error that names the command to run
        return Source(folder, {}, f"sha256:{SHA256}")
    if name and path.is_dir():
        return _local(path, weights)
    if path.is_file() and path.suffix == ".gguf":
        return Source(path.parent, {"gguf_file": path.name}, _fingerprint([path]))
    if not NAME.fullmatch(name) or path.is_file() or name.startswith("."):
        raise InputError(f"unknown model {name!r}: use '{BUNDLED}', a folder, or a Hub id such as owner/name")
    folder, gguf = model_files(name, weights)
    if gguf is None and (found := find_weights(folder)) and found[1]:
        gguf = found[0][0]
    return Source(folder, {"gguf_file": gguf} if gguf else {}, f"revision:{folder.name}")


def known_fingerprint(name: str | Path) -> str | None:
    """Return the fingerprint that :func:`load_model` would give, if local files determine it.

    Nothing is fetched, and the weights of an untrained twin are not drawn.

    Parameters
    ----------
    name : str or path
        As for :func:`~tokengeom_utils.models.load.load_model`.

    Returns
    -------
    str or None

    Examples
    --------
    >>> known_fingerprint("untrained:smollm2-135m") is None
    True
    """
    name = str(name)
    if name.startswith(UNTRAINED):
        return None
    if (found := NAME.fullmatch(name)) and not Path(name).exists():
        folder = cached(found["repo"], found["revision"])
        return f"revision:{folder.name}" if folder else None
    try:
        return locate(name).fingerprint
    except InputError:
        return None


def absolute(name: str | Path) -> str:
    """Return the name of a model in a form that holds in any working directory.

    Parameters
    ----------
    name : str or path
        As for :func:`~tokengeom_utils.models.load.load_model`.

    Returns
    -------
    str
        With the absolute path where the name is a file or a folder, otherwise unchanged.

    Examples
    --------
    >>> absolute("untrained:smollm2-135m")
    'untrained:smollm2-135m'
    """
    plain = str(name).removeprefix(UNTRAINED)
    path = Path(os.path.expanduser(plain))
    if plain in ("", BUNDLED) or not path.exists():
        return str(name)
    return str(name).removesuffix(plain) + str(path.resolve())


def _local(folder, weights):
    """The source of a model in a folder."""
    small = [path for pattern in IDENTITY for path in folder.glob(pattern)]
    found = find_weights(folder)
    if found is None and weights:
        files = sorted(path.name for path in folder.iterdir() if path.is_file())
        raise InputError(f"the folder {folder} {without_weights(files, folder)}")
    if found and found[1]:
        return Source(folder, {"gguf_file": found[0][0]}, _fingerprint([folder / found[0][0]]))
    return Source(folder, {}, _fingerprint(small + [folder / name for name in found[0]] if weights else small))


def _fingerprint(paths: Iterable[Path]) -> str:
    """One hash for a set of files."""
    parts = "".join(f"{path.name}:{sha256(path)}" for path in sorted(set(paths)))
    return "sha256:" + hashlib.sha256(parts.encode()).hexdigest()
