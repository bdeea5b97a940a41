"""Language models: the one that ships, one from the Hugging Face Hub, one in a folder; and their untrained twins.

    >>> model = tg.load_model("smollm2-135m")                  # doctest: +SKIP
    >>> twin = tg.load_model("untrained:smollm2-135m")         # doctest: +SKIP
    >>> tokenizer = tg.load_tokenizer("EleutherAI/pythia-6.9b")  # doctest: +SKIP

Only safetensors and GGUF are read, and no repository's own code is run: see :mod:`tokengeom_utils.models.safety`.
"""

import hashlib
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from .bundled import BUNDLED, INITIALIZER_RANGE, SHA256, bundled_folder, check_bundled, fetch_bundled_model, sha256
from ..errors import InputError
from .hub import NAME, cached, model_files
from .quiet import quiet_transformers
from .safety import check_config, find_weights, without_weights
from .untrained import UNTRAINED, untrained_network

# What, beside its weights, decides what a model in a folder computes.
IDENTITY = ("config.json", "tokenizer*", "*.model", "vocab.*", "merges.txt", "special_tokens_map.json",
            "added_tokens.json", "*.tiktoken")


class _Tokens:
    """Text to token ids, for whatever has ``name`` and ``tokenizer``."""

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

        ids = self._ids([text])[0]
        if n_tokens is not None and len(ids) < n_tokens:
            raise InputError(f"{name} has {len(ids)} tokens under {self.name}, fewer than n_tokens = {n_tokens}")
        return np.asarray(ids[:n_tokens], dtype=np.int64)

    def lengths(self, texts):
        """Numbers of tokens of many texts, as :meth:`tokenize` makes them: a list of int."""
        return [len(ids) for ids in self._ids(texts)]

    def _ids(self, texts):
        texts = [text.strip() for text in texts]
        return self.tokenizer(texts, add_special_tokens=False, verbose=False, return_attention_mask=False)["input_ids"]


@dataclass(frozen=True)
class LanguageModel(_Tokens):
    """A causal language model with its tokenizer."""

    name: str
    network: object = field(repr=False)  #: a transformers causal language model, in eval mode
    tokenizer: object = field(repr=False)
    fingerprint: str  #: says which weights these are: a hash, or the commit on the Hub

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


@dataclass(frozen=True)
class Tokenizer(_Tokens):
    """The tokenizer of a model without the model, read when it is first used: to choose prompts by their length."""

    name: str
    fingerprint: str  #: says which tokenizer this is
    source: object = field(repr=False)

    @cached_property
    def tokenizer(self):
        with _loading(self.name), quiet_transformers():
            return _read_tokenizer(self.source)


def load_model(name=BUNDLED, device="auto", dtype="auto"):
    """Load a causal language model for measuring.

    Parameters
    ----------
    name : str or path
        ``"smollm2-135m"``, the model that ships; a folder that holds safetensors or one GGUF file; a GGUF file; or an
        id on the Hugging Face Hub, ``owner/name`` or ``owner/name@revision``. ``"untrained:NAME"`` is the twin of any
        of these that has learned nothing: its architecture and tokenizer, with the weights that its class in
        transformers draws before training, always the same ones (:func:`~tokengeom_utils.models.untrained.untrained_network`).
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
        One line that says what to do: if there is no such model or no access to it, if the bundled one has not been
        fetched yet or is damaged, and if only pickled weights or a repository's own code would make the model.
    """
    name = str(name)
    untrained, plain = name.startswith(UNTRAINED), name.removeprefix(UNTRAINED)
    source = _locate(plain, weights=not untrained)  # before torch: what is wrong with a name is said at once
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
    except RuntimeError:
        raise InputError(f"unknown device {device!r}: use auto, cpu, cuda or cuda:1") from None
    if dtype == "auto":
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    elif isinstance(dtype, str):
        if dtype not in ("float64", "float32", "bfloat16", "float16"):
            raise InputError(f"unknown dtype {dtype!r}: use auto, float64, float32, bfloat16 or float16")
        dtype = getattr(torch, dtype)
    with _loading(name), quiet_transformers():
        if not source.options:
            check_config(source.folder, plain)
        tokenizer = _read_tokenizer(source)
        if untrained:
            network, fingerprint = untrained_network(_read_config(source, plain))
            for parameter in network.parameters():  # and not the buffers, which stay in float32 as in any model
                parameter.data = parameter.data.to(dtype)
        else:
            network, fingerprint = _read_network(source, name, dtype), source.fingerprint
        return LanguageModel(name, network.eval().to(device), tokenizer, fingerprint)


def load_tokenizer(name):
    """The tokenizer of a model; of a model on the Hub nothing but the small files is fetched.

    Parameters
    ----------
    name : str or path
        As for :func:`load_model`.

    Returns
    -------
    Tokenizer
        ``.tokenize(text)`` gives token ids, ``.lengths(texts)`` their numbers; ``.fingerprint`` says which it is.

    Raises
    ------
    InputError
        If there is no such model, or no access to it.
    """
    source = _locate(str(name).removeprefix(UNTRAINED), weights=False)
    return Tokenizer(str(name), source.fingerprint, source)


def known_fingerprint(name):
    """The fingerprint that :func:`load_model` would give, if files that are here say it; otherwise None.

    Nothing is fetched, and the weights of an untrained twin are not drawn.
    """
    name = str(name)
    if name.startswith(UNTRAINED):
        return None
    if (found := NAME.fullmatch(name)) and not Path(name).exists():
        folder = cached(found["repo"], found["revision"])
        return f"revision:{folder.name}" if folder else None
    try:
        return _locate(name).fingerprint
    except InputError:
        return None


def absolute(name):
    """The name of a model, with the whole path where it is a file or a folder: for a process that runs elsewhere."""
    plain = str(name).removeprefix(UNTRAINED)
    path = Path(os.path.expanduser(plain))
    if plain in ("", BUNDLED) or not path.exists():
        return str(name)
    return str(name).removesuffix(plain) + str(path.resolve())


def fetch_model(name=BUNDLED, say=print):
    """Bring what :func:`load_model` needs for a model onto this machine, without loading it.

    A survey of several models does this for all of them before it measures with the first: missing access shows at
    once, and a cluster's nodes need no network.

    Parameters
    ----------
    name : str or path
        As for :func:`load_model`.
    say : callable
        Called with a line of text for each step.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    name = str(name)
    plain = name.removeprefix(UNTRAINED)
    if plain == BUNDLED:
        return fetch_bundled_model(say)
    return _locate(plain, weights=name == plain).folder


class _Source(NamedTuple):
    folder: Path
    options: dict  #: for transformers: the GGUF file
    fingerprint: str


def _locate(name, weights=True):
    """Where the files of a model are, and what they are; fetched from the Hub if need be."""
    path = Path(os.path.expanduser(name))
    if name == BUNDLED:
        folder = check_bundled() if weights else bundled_folder()
        if not folder.is_dir():
            check_bundled()  # says what to do
        return _Source(folder, {}, f"sha256:{SHA256}")
    if name and path.is_dir():
        return _local(path, weights)
    if path.is_file() and path.suffix == ".gguf":
        return _Source(path.parent, {"gguf_file": path.name}, _fingerprint([path]))
    if not NAME.fullmatch(name) or path.is_file() or name.startswith("."):
        raise InputError(f"unknown model {name!r}: use '{BUNDLED}', a folder, or a Hub id such as owner/name")
    folder, gguf = model_files(name, weights)
    if gguf is None and (found := find_weights(folder)) and found[1]:
        gguf = found[0][0]
    return _Source(folder, {"gguf_file": gguf} if gguf else {}, f"revision:{folder.name}")


def _local(folder, weights):
    small = [path for pattern in IDENTITY for path in folder.glob(pattern)]
    found = find_weights(folder)
    if found is None and weights:
        files = sorted(path.name for path in folder.iterdir() if path.is_file())
        raise InputError(f"the folder {folder} {without_weights(files, folder)}")
    if found and found[1]:
        return _Source(folder, {"gguf_file": found[0][0]}, _fingerprint([folder / found[0][0]]))
    return _Source(folder, {}, _fingerprint(small + [folder / name for name in found[0]] if weights else small))


def _fingerprint(paths):
    """One hash for a set of files."""
    parts = "".join(f"{path.name}:{sha256(path)}" for path in sorted(set(paths)))
    return "sha256:" + hashlib.sha256(parts.encode()).hexdigest()


def _read_tokenizer(source):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, **source.options)


def _read_config(source, name):
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, **source.options)
    if name == BUNDLED:
        config.initializer_range = INITIALIZER_RANGE
    return config


def _read_network(source, name, dtype):
    from transformers import AutoModelForCausalLM

    network, report = AutoModelForCausalLM.from_pretrained(
        source.folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are reported, and refused below
        **source.options,
    )
    wrong = [*report["missing_keys"], *report["mismatched_keys"]]
    if wrong:  # transformers would fill them with random numbers
        raise InputError(f"the weights of {name} are not those of its config.json: {len(wrong)} are missing or of "
                         f"another shape, such as {min(map(str, wrong))}")
    return network


@contextmanager
def _loading(name):
    """Whatever goes wrong while transformers reads a model, in one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # its libraries raise many kinds, down to their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "trust_remote_code" in str(error):
            reason = "it needs Python code of its own, which is never run here"
        raise InputError(f"the model {name} could not be loaded: {reason}") from error


