"""Where the files of a model are, and the fingerprint that identifies them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..paths import local_path
from .bundled import BUNDLED, SHA256, bundled_folder, check_bundled
from .dequantized import copy_of, dequantize, is_intact
from .gguf_files import all_parts, is_gguf
from .hashes import fingerprint
from .hub import NAME, cached, hub_id, model_files, snapshot
from .safety import check_not_adapter, find_weights, without_weights
from .untrained import split_twin

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
    if name == BUNDLED:
        folder = check_bundled() if weights else bundled_folder()
        if not folder.is_dir():
            check_bundled()  # raises the error that names the command to run
        return Source(folder, {}, f"sha256:{SHA256}")
    if page := hub_id(name):
        raise InputError(f"the model {name} is the address of a page: use its name on the Hub, {page}")
    path = local_path(name, "the model") if not name.startswith("~") else Path(os.path.expanduser(name))
    if name and path.is_dir():
        return _local(snapshot(path), weights)
    if path.is_file() and is_gguf(path.name):
        return _gguf(path)
    if path.is_file():
        raise InputError(f"the model {name} is a file: use its folder, a GGUF file, or a Hub id such as owner/name")
    if not NAME.fullmatch(name) or name.startswith("."):
        raise InputError(f"unknown model {name!r}: use '{BUNDLED}', a folder, or a Hub id such as owner/name")
    folder, gguf = model_files(name, weights)
    if gguf is None and (found := find_weights(folder)) and found[1]:
        gguf = found[0][0]
    return Source(folder, {"gguf_file": gguf} if gguf else {}, f"revision:{folder.name}")


def readable(source: Source, say: Callable[[str], object] = print) -> Source:
    """Return the files to read a model from: those of a GGUF model are dequantized first, once for all processes.

    Parameters
    ----------
    source : Source
    say : callable
        Called with a line of text before anything that takes long.

    Returns
    -------
    Source
        With the same fingerprint.

    Raises
    ------
    InputError
        If the model is split over several files and cannot be dequantized into the cache.
    """
    if not source.options:
        return source
    files = all_parts(source.folder / source.options["gguf_file"])
    folder = dequantize(files, say)
    if folder:
        return Source(folder, {}, source.fingerprint)
    if len(files) > 1:
        raise InputError(
            f"the parts of {files[0].name} are joined in the cache, which cannot be written: "
            "set TOKENGEOM_CACHE to a folder of your own with enough space"
        )
    return source


def kept(source: Source) -> Source:
    """Return the dequantized copy of a GGUF model if the cache has one, otherwise ``source``.

    For what needs no weights: a tokenizer, or the configuration of an untrained twin.

    Parameters
    ----------
    source : Source

    Returns
    -------
    Source
        With the same fingerprint.
    """
    if source.options:
        folder = copy_of(all_parts(source.folder / source.options["gguf_file"]))
        if is_intact(folder):
            return Source(folder, {}, source.fingerprint)
    return source


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
    if split_twin(name)[1] is not None:
        return None
    if (found := NAME.fullmatch(name)) and not Path(os.path.expanduser(name)).exists():
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
    plain, _ = split_twin(str(name))
    path = Path(os.path.expanduser(plain))
    if plain in ("", BUNDLED) or not path.exists():
        return str(name)
    return str(name).removesuffix(plain) + str(path.resolve())


def _local(folder, weights):
    """The source of a model in a folder."""
    small = [path for pattern in IDENTITY for path in folder.glob(pattern)]
    found = find_weights(folder)
    if found is None and weights:
        check_not_adapter(folder, str(folder))
        files = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
        raise InputError(f"the folder {folder} {without_weights(files, folder)}")
    if found and found[1]:
        return _gguf(folder / found[0][0])
    return Source(folder, {}, fingerprint(small + [folder / name for name in found[0]] if weights else small))


def _gguf(path):
    """The source of a model in a GGUF file, or in several of which this is one."""
    files = all_parts(path)
    return Source(path.parent, {"gguf_file": files[0].name}, fingerprint(files))
