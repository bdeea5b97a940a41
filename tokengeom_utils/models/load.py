"""Loading language models: the bundled one, one from the Hugging Face Hub, one in a folder; and their untrained twins.

    >>> import tokengeom_utils as tg
    >>> model = tg.load_model("smollm2-135m")                    # doctest: +SKIP
    >>> twin = tg.load_model("untrained:smollm2-135m")           # doctest: +SKIP
    >>> tokenizer = tg.load_tokenizer("EleutherAI/pythia-6.9b")  # doctest: +SKIP

Only safetensors and GGUF files are read, and no repository's own code is run: see
:mod:`tokengeom_utils.models.safety`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .bos import check_rule, find_prefix
from .bundled import BUNDLED, fetch_bundled_model
from .language_model import LanguageModel, Tokenizer
from .locate import kept, locate, readable
from .quiet import quiet_transformers
from .read import one_line_errors, read_config, read_network, read_tokenizer
from .safety import check_config
from .untrained import split_twin, untrained_network

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float64", "float32", "bfloat16", "float16")


def load_model(
    name: str | Path = BUNDLED,
    device: "str | torch.device" = "auto",
    dtype: "str | torch.dtype" = "auto",
    bos: str = "never",
    say: Callable[[str], object] = print,
) -> LanguageModel:
    """Load a causal language model for measuring.

    Parameters
    ----------
    name : str or path
        ``"smollm2-135m"``, the bundled model; a folder with safetensors or one GGUF model; a GGUF file; or an id on the
        Hugging Face Hub, ``owner/name`` or ``owner/name@revision``. ``"untrained:NAME"`` is the untrained twin of any
        of these: the same architecture and tokenizer, with the weights that its class in transformers draws before
        training, the same ones every time (:func:`~tokengeom_utils.models.untrained.untrained_network`);
        ``"untrained-1:NAME"`` is another twin, with other weights, from the seed 1 in place of 0.
    device : str or torch.device
        ``"auto"`` is a GPU if there is one, otherwise the CPU.
    dtype : str or torch.dtype
        ``"auto"`` is bfloat16 on a GPU, as in the paper, and float32 on a CPU.
    bos : {"never", "auto", "always"}
        Whether a beginning-of-sequence token precedes every prompt: see :attr:`LanguageModel.bos`.
    say : callable
        Called with a line of text before anything that takes long: the weights of a GGUF file are dequantized once and
        kept in the user's cache.

    Returns
    -------
    LanguageModel
        In eval mode.

    Raises
    ------
    InputError
        If there is no such model or no access to it; if the bundled model has not been fetched or is damaged; if the
        weights exist only as pickles; or if the model requires its own Python code. The message states what to do.

    See Also
    --------
    fetch_model : downloads a model without loading it.
    load_tokenizer : reads the tokenizer alone.
    token_clouds : runs a prompt through a model.
    tiny_model : makes a very small model, without any files.

    Notes
    -----
    Introduced in the chapter *From text to token clouds*; untrained twins in *The untrained twin: what does learning
    add?*

    Examples
    --------
    >>> import tempfile
    >>> import tokengeom_utils as tg
    >>> model = tg.load_model("smollm2-135m")  # doctest: +SKIP
    >>> model.n_layers, model.n_features       # doctest: +SKIP
    (30, 576)

    A model in a folder:

    >>> folder = tempfile.mkdtemp()
    >>> tiny = tg.tiny_model()
    >>> tiny.network.save_pretrained(folder)
    >>> files = tiny.tokenizer.save_pretrained(folder)
    >>> tg.load_model(folder, device="cpu").n_layers
    2
    """
    check_rule(bos)
    name = str(name)
    plain, twin = split_twin(name)
    source = locate(plain, weights=twin is None)  # before torch is imported, so that a wrong name fails at once
    device, dtype = device_and_dtype(device, dtype)
    with one_line_errors(name), quiet_transformers():
        source = readable(source, say) if twin is None else kept(source)
        if not source.options:
            check_config(source.folder, plain)
        tokenizer = read_tokenizer(source)
        if twin is not None:
            network, fingerprint = untrained_network(read_config(source, plain), twin)
            for parameter in network.parameters():  # not the buffers, which stay in float32 as in any model
                parameter.data = parameter.data.to(dtype)
        else:
            network, fingerprint = read_network(source, name, dtype), source.fingerprint
        find_prefix(tokenizer, bos, name)  # or the error comes now
        return LanguageModel(name, network.eval().to(device), tokenizer, fingerprint, bos)


def device_and_dtype(device: Any = "auto", dtype: Any = "auto") -> "tuple[torch.device, torch.dtype]":
    """Return the device and the dtype that two arguments of :func:`load_model` stand for.

    Parameters
    ----------
    device, dtype
        As for :func:`load_model`.

    Returns
    -------
    torch.device, torch.dtype

    Raises
    ------
    InputError
        If one is unknown, or the device is not there.

    Examples
    --------
    >>> device_and_dtype("cpu")
    (device(type='cpu'), torch.float32)
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
    except RuntimeError:
        raise InputError(f"unknown device {device!r}: use auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("torch finds no CUDA device on this machine: use --device cpu, or auto")
    if dtype == "auto":
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    elif isinstance(dtype, str):
        if dtype not in DTYPES:
            raise InputError(f"unknown dtype {dtype!r}: use {', '.join(DTYPES)}")
        dtype = getattr(torch, dtype)
    return device, dtype


def load_tokenizer(name: str | Path) -> Tokenizer:
    """Load the tokenizer of a model without the model.

    For a model on the Hub only the small files are fetched, and torch is not imported.

    Parameters
    ----------
    name : str or path
        As for :func:`load_model`.

    Returns
    -------
    Tokenizer
        ``.tokenize(text)`` returns token ids and ``.lengths(texts)`` their numbers; ``.fingerprint`` identifies it.

    Raises
    ------
    InputError
        If there is no such model or no access to it.

    See Also
    --------
    load_prompts : keeps texts that are long enough under some tokenizers.

    Notes
    -----
    The paper's prompts are selected by three tokenizers: see the chapter *From text to token clouds*.

    Examples
    --------
    >>> import tempfile
    >>> import tokengeom_utils as tg
    >>> folder = tempfile.mkdtemp()
    >>> files = tg.tiny_model().tokenizer.save_pretrained(folder)  # a token per byte
    >>> tg.load_tokenizer(folder).lengths(["Token clouds", "Block shuffle"])
    [12, 13]
    """
    with one_line_errors(str(name)):
        source = kept(locate(split_twin(str(name))[0], weights=False))
    return Tokenizer(str(name), source.fingerprint, source)


def fetch_model(name: str | Path = BUNDLED, say: Callable[[str], object] = print) -> Path:
    """Download the files that :func:`load_model` requires for a model, without loading it; dequantize GGUF weights.

    A survey of several models fetches all of them before the first measurement, so that missing access shows at once
    and the nodes of a cluster need no network.

    Parameters
    ----------
    name : str or path
        As for :func:`load_model`.
    say : callable
        Called with a line of text for each step.

    Returns
    -------
    pathlib.Path
        The folder with the files.

    Raises
    ------
    InputError
        If there is no such model or no access to it.

    See Also
    --------
    load_model : loads the model.

    Notes
    -----
    On the command line: ``tokengeom fetch-model``. Models other than the bundled one appear in the chapter *What a
    survey costs*.

    Examples
    --------
    >>> import tempfile
    >>> import tokengeom_utils as tg
    >>> tg.fetch_model("smollm2-135m").is_dir()  # doctest: +SKIP
    True
    >>> folder = tempfile.mkdtemp()
    >>> tg.tiny_model().network.save_pretrained(folder)
    >>> str(tg.fetch_model(folder)) == folder
    True
    """
    name = str(name)
    plain, _ = split_twin(name)
    if plain == BUNDLED:
        return fetch_bundled_model(say)
    source = locate(plain, weights=name == plain)
    if name != plain:
        return source.folder
    with one_line_errors(name):
        return readable(source, say).folder
