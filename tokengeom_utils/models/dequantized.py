"""GGUF weights, dequantized once and kept as float32 safetensors in the user's cache.

Reading a GGUF file takes transformers half a minute or more, most of it for the vocabulary, which it parses four times;
reading the same model from safetensors takes a second. The folder in the cache is named after the contents of the file
and the versions of the converters. It appears only when it is complete and proven equal: the tokenizer, the
configuration, and every weight to the last bit.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..paths import cache_path, make_folder
from .gguf_files import merge
from .hashes import sha256
from .quiet import quiet_transformers
from .safety import unusable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONVERSION = "1"  #: raise it when the conversion below changes
RECORD = "provenance.json"  #: written last: the hashes of all other files
#: entries of a configuration that differ between a GGUF file and its copy, and change no number
_NAMES = ("_name_or_path", "quantization_config", "transformers_version", "dtype", "torch_dtype", "architectures")


class NotKept(InputError):
    """Why there can be no copy of a model whose weights may be fine."""


def copy_of(files: Sequence[Path]) -> Path:
    """Return the folder in the cache for the float32 copy of a GGUF model; it need not exist.

    Parameters
    ----------
    files : sequence of pathlib.Path
        The file, or its parts.

    Returns
    -------
    pathlib.Path
    """
    made = [CONVERSION, *(f"{name} {metadata.version(name)}" for name in ("transformers", "gguf"))]
    key = hashlib.sha256(" ".join([*map(sha256, files), *made]).encode()).hexdigest()
    return cache_path("models", f"{files[0].stem}-float32-{key[:16]}")


def is_intact(folder: Path) -> bool:
    """Return whether a copy is complete and every file has its recorded hash.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    bool
    """
    try:
        recorded = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return all(sha256(folder / name) == found for name, found in recorded.items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def dequantize(files: Sequence[Path], say: Callable[[str], object] = print) -> Path | None:
    """Return the float32 copy of a GGUF model in the cache; make it if it is not there.

    Two processes do not make it twice: the second one waits for the first.

    Parameters
    ----------
    files : sequence of pathlib.Path
        The file, or its parts.
    say : callable
        Called with a line of text before anything that takes long.

    Returns
    -------
    pathlib.Path or None
        None if no copy can be kept; a warning states why, and what to do.
    """
    folder = copy_of(files)
    if is_intact(folder):
        return folder
    try:
        _make_folder(folder.parent)
        with _alone(folder, say):
            if is_intact(folder):  # another process was faster
                return folder
            if folder.exists():
                say(f"the copy in {folder} is damaged; replacing it")
                shutil.rmtree(folder)
            say(f"dequantizing {files[0].name}, once; the weights are kept in {folder} ...")
            _make(files, folder)
            return folder
    except NotKept as error:
        why = str(error)
    except Exception as error:
        if not isinstance(error, OSError) and "os error" not in str(error):  # as safetensors reports a full disk
            raise
        why = f"{folder.parent}: {getattr(error, 'strerror', None) or str(error).splitlines()[0]}"
    warnings.warn(
        f"the dequantized weights of {files[0].name} are not kept ({why}): every process dequantizes them again; "
        "set TOKENGEOM_CACHE to a folder of your own with enough space",
        stacklevel=3,
    )
    return None


def _make_folder(folder):
    """Make the folder of all copies."""
    try:
        make_folder(folder)
    except InputError as error:
        raise NotKept(str(error).split(": set TOKENGEOM_CACHE")[0]) from None


@contextmanager
def _alone(folder: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Keep other processes from making the same copy, and remove what a killed one left behind."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    with ExitStack() as exits:
        try:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"waiting for another process, which makes {folder} ...")
                lock.acquire()
            exits.callback(lock.release)
        except OSError:  # a file system without locks: at worst the copy is made twice
            yield
            return
        for leftover in folder.parent.glob(f".{folder.name}.making-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _make(files, folder):
    """Make the copy under another name, prove that it is equal, and give it its final name."""
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f".{folder.name}.making-", ignore_cleanup_errors=True
    ) as made:
        source, fresh = files[0], Path(made, "copy")
        if len(files) > 1:
            source = Path(made, "merged.gguf")
            merge(files, source)
        write(source, fresh)
        record = {"gguf": {file.name: sha256(file) for file in files}}
        record["files"] = {file.name: sha256(file) for file in sorted(fresh.iterdir())}
        (fresh / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        try:
            fresh.rename(folder)
        except OSError:  # without locks another process may have been faster
            if not is_intact(folder):
                raise


def write(gguf: Path, folder: Path) -> None:
    """Write a GGUF model as float32 safetensors, with its configuration and tokenizer, and prove that they are equal.

    Parameters
    ----------
    gguf : pathlib.Path
        One file.
    folder : pathlib.Path
        Must not exist.

    Raises
    ------
    NotKept
        If there is too little space, or what transformers reads back from the folder differs from the file.
    InputError
        If the file lacks weights.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        network = _network(gguf)
        expected = _identity(network, tokenizer)
        size = sum(parameter.nbytes for parameter in network.parameters())
        if (free := shutil.disk_usage(folder.parent).free) < 1.05 * size:
            raise NotKept(f"{size / 1e9:.1f} GB are needed in {folder.parent}, and {free / 1e9:.1f} GB are free")
        folder.mkdir()
        network.save_pretrained(folder, max_shard_size="4GB")
        tokenizer.save_pretrained(folder)
        del network
        again: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        found = _identity(again, AutoTokenizer.from_pretrained(folder))
    if differing := sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)):
        raise NotKept(f"transformers reads them back differently, such as {differing[0]}")


def _network(gguf: Path) -> "PreTrainedModel":
    """The network in a GGUF file as plain float32, ready to be saved."""
    import torch
    import transformers

    options: dict[str, Any] = {"gguf_file": gguf.name, "dtype": torch.float32, "output_loading_info": True}
    if hasattr(transformers, "GgufConfig"):  # newer versions may keep the blocks of the file in memory
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, **options)
    network, report = loaded
    if wrong := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise InputError(
            f"the weights of {gguf.name} do not fit its architecture: {unusable(wrong)}; "
            "get the file again from its source; the parts of a split model must keep their names"
        )
    network.hf_quantizer = None  # transformers refuses to save what it takes for quantized
    if hasattr(network.config, "quantization_config"):
        del network.config.quantization_config
    return network


def _identity(network: "PreTrainedModel", tokenizer: Any) -> dict[str, Any]:
    """Everything that decides the numbers: a hash of each weight and buffer, the configuration, and the tokenizer."""
    tensors = {**dict(network.named_buffers()), **network.state_dict()}
    config = {name: value for name, value in network.config.to_dict().items() if name not in _NAMES}
    return {
        **{name: hashlib.sha256(_bytes(tensor)).hexdigest() for name, tensor in tensors.items()},
        "config": json.dumps(config, sort_keys=True, default=str),
        "tokenizer": tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else tokenizer.get_vocab(),
        "special tokens": tokenizer.special_tokens_map,
    }


def _bytes(tensor):
    """The bytes of a tensor."""
    import torch

    return memoryview(tensor.detach().contiguous().flatten().view(torch.uint8).numpy())
