"""Files from the Hugging Face Hub, downloaded by its own client into its own cache.

Cached files are used without contacting the Hub, so a run is repeatable and compute nodes need no network. A name may
include a revision, ``owner/name@revision``. Only data files are downloaded, never Python code and never pickles. Every
error is one line that states what to do.
"""

import errno
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..paths import unwritable
from .gguf_files import models, parts
from .safety import check_not_adapter, find_weights, safetensors_names, without_weights

# Configuration and tokenizer. Weights come in a second step: where they are in the cache, so are these.
SMALL = ("*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken")
#: errors of a cache that is full or may not be written
CACHE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken")
NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(/(?P<file>[^@]+\.[gG][gG][uU][fF]))?(@(?P<revision>[\w./-]+))?")


def model_files(name: str, weights: bool = True) -> tuple[Path, str | None]:
    """Find the files of a model on the Hub in the cache, or download them.

    Parameters
    ----------
    name : str
        ``owner/name``, or ``owner/name/FILE.gguf`` for one GGUF file; either may end in ``@revision``, a branch, a
        tag, or a commit.
    weights : bool
        False to download only the configuration and the tokenizer.

    Returns
    -------
    folder : pathlib.Path
        The snapshot in the cache; its name is the commit.
    gguf : str or None
        The GGUF file in it, if ``name`` includes one.

    Raises
    ------
    InputError
        If the files are not available, or the model has neither safetensors nor GGUF weights.

    Examples
    --------
    >>> folder, gguf = model_files("EleutherAI/pythia-6.9b")  # doctest: +SKIP
    """
    found = NAME.fullmatch(name)
    if not found:
        raise InputError(f"{name!r} is not a name on the Hub: it must look like owner/name")
    repo, file, revision = (found[part] for part in ("repo", "file", "revision"))
    if file:
        return fetch(repo, parts(file), revision), parts(file)[0]
    folder = cached(repo, revision)
    if folder and _is_complete(folder, weights):
        return folder, None
    folder = fetch(repo, SMALL, revision)
    if _is_complete(folder, weights):
        return folder, None
    files = _files(repo, folder.name)
    if weights:
        wanted = safetensors_names(folder)
        if not set(wanted) <= set(files):
            ggufs = models(files)
            if len(ggufs) != 1 or not set(ggufs[0]) <= set(files):
                check_not_adapter(folder, repo)
                raise InputError(f"the model {repo} on the Hub {without_weights(files, repo)}")
            wanted = ggufs[0]
        fetch(repo, wanted, folder.name)
    return folder, None


def hub_id(address: str) -> str | None:
    """Return the name of a model whose page on the Hub has this address; None for anything else.

    Parameters
    ----------
    address : str

    Returns
    -------
    str or None

    Examples
    --------
    >>> hub_id("https://huggingface.co/EleutherAI/pythia-6.9b/tree/main")
    'EleutherAI/pythia-6.9b'
    """
    found = re.match(r"(?:https?:/{1,2})?(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)", address)
    return found[1] if found else None


def snapshot(folder: Path) -> Path:
    """Return the folder with the files of a model, if ``folder`` is its place in the Hub's cache; else ``folder``.

    Parameters
    ----------
    folder : pathlib.Path
        Such as ``~/.cache/huggingface/hub/models--owner--name``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it holds several snapshots, and none is the current one.
    """
    snapshots = folder / "snapshots"
    if not folder.name.startswith("models--") or not snapshots.is_dir():
        return folder
    main = folder / "refs" / "main"
    current = snapshots / main.read_text(encoding="utf-8").strip() if main.is_file() else None
    if current and current.is_dir():
        return current
    there = sorted(path for path in snapshots.iterdir() if path.is_dir())
    if len(there) == 1:
        return there[0]
    which = f"choose one, such as {there[0]}" if there else "download the model again"
    raise InputError(f"the folder {folder} of the Hub's cache holds {len(there)} snapshots: {which}")


def _is_complete(folder, weights):
    """Whether a snapshot has a configuration, a tokenizer and, if wanted, weights."""
    found = find_weights(folder)
    if found and found[1]:
        return True  # a GGUF file has its configuration and tokenizer inside
    tokenizer = any(next(folder.glob(pattern), None) for pattern in TOKENIZERS)
    return tokenizer and (folder / "config.json").is_file() and (found is not None or not weights)


def cached(repo: str, revision: str | None = None, kind: str = "model") -> Path | None:
    """Return the folder of a repository's snapshot in the Hub's cache, without using the network.

    Parameters
    ----------
    repo : str
        ``owner/name``.
    revision : str, optional
        A branch, tag, or commit; ``main`` if not given.
    kind : {"model", "dataset"}

    Returns
    -------
    pathlib.Path or None

    Examples
    --------
    >>> cached("owner/no-such-name") is None
    True
    """
    from huggingface_hub import constants

    base = Path(constants.HF_HUB_CACHE, f"{kind}s--{repo.replace('/', '--')}")
    ref = base / "refs" / (revision or "main")
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision
    return base / "snapshots" / commit if commit and (base / "snapshots" / commit).is_dir() else None


def fetch(repo: str, patterns: Sequence[str], revision: str | None = None, kind: str = "model") -> Path:
    """Download the files of a repository that match some patterns, unless the cache has them.

    Parameters
    ----------
    repo : str
        ``owner/name``.
    patterns : sequence of str
        File names or glob patterns.
    revision : str, optional
        A branch, tag, or commit; ``main`` if not given.
    kind : {"model", "dataset"}

    Returns
    -------
    pathlib.Path
        The snapshot's folder, named after its commit.

    Raises
    ------
    InputError
        If a file is not available; the message states why and what to do.

    Examples
    --------
    >>> folder = fetch("EleutherAI/pythia-6.9b", ["config.json"])  # doctest: +SKIP
    """
    from huggingface_hub import snapshot_download

    names = [name for name in patterns if "*" not in name]
    folder = cached(repo, revision, kind)
    if names and folder and all((folder / name).is_file() for name in names):
        return folder
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)  # a pattern without a match is reported below
    try:
        folder = Path(snapshot_download(repo, repo_type=kind, revision=revision, allow_patterns=list(patterns)))
    except Exception as error:  # the client raises a dozen kinds, over two HTTP libraries
        raise InputError(_explain(error, repo, kind, revision)) from error
    finally:
        logger.setLevel(level)
    for name in names:  # without a network the client returns an incomplete snapshot as it is
        if not (folder / name).is_file() and name not in _files(repo, folder.name, kind):
            raise InputError(f"the {kind} {repo} on the Hub has no file {name}: see {_page(repo, kind)}/tree/main")
    return folder


def _files(repo, revision, kind="model"):
    """Names of all the files of a repository."""
    from huggingface_hub import HfApi

    try:
        about = HfApi().repo_info(repo, revision=revision, repo_type=kind)  # unlike a list of the files, tried once
        return sorted(file.rfilename for file in about.siblings)
    except Exception as error:
        raise InputError(_explain(error, repo, kind, revision)) from error


def _page(repo, kind):
    """Address of a repository's page."""
    return f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo}"


def _explain(error: Any, repo: str, kind: str, revision: str | None) -> str:
    """What an exception of the Hub's client means and what to do about it, in one line."""
    from huggingface_hub import errors, get_token

    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__:
        error = error.__cause__
    logged_in, page, what = get_token() is not None, _page(repo, kind), f"the {kind} {repo}"
    if isinstance(error, errors.GatedRepoError):
        if logged_in:
            return f"{what} is gated, and your account has no access yet: request it at {page}, then run this again"
        return f"{what} is gated: accept its license at {page}, then run  hf auth login"
    if isinstance(error, errors.RepositoryNotFoundError):
        private = "your token does not give access to it" if logged_in else "it is private: then run  hf auth login"
        return f"there is no {kind} at {page}: the name is wrong, or {private}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{what} has no revision {revision!r}: see {page}/commits/main"
    if isinstance(error, errors.HFValidationError):
        return f"{repo!r} is not a name on the Hub: it must look like owner/name"
    if status := getattr(getattr(error, "response", None), "status_code", None):
        return _explain_status(status, what)
    return _explain_failure(error, repo, kind)


def _explain_status(status, what):
    """What an HTTP error of the Hub means and what to do about it."""
    if status == 401:
        return "the Hub rejects your access token: run  hf auth login  again, or unset HF_TOKEN"
    if status == 403:
        return (
            f"the Hub refuses {what} to your access token: let the token read gated repositories, at "
            "https://huggingface.co/settings/tokens"
        )
    if status == 429:
        return "the Hub limits the rate of requests: wait some minutes; after  hf auth login  the limit is higher"
    return f"the Hub answers the request for {what} with error {status}: try again later; fetched files are kept"


def _explain_failure(error, repo, kind):
    """What a failure on this machine or of its network means and what to do about it."""
    from huggingface_hub import constants, errors

    what = f"the {kind} {repo}"
    if isinstance(error, PermissionError) or getattr(error, "errno", None) in CACHE_ERRORS:
        return unwritable(what, error.filename or constants.HF_HUB_CACHE, error, "HF_HOME")
    command = f"hf download {'--repo-type dataset ' if kind == 'dataset' else ''}{repo}"
    elsewhere = f"run  {command}  on a machine with a network and copy its cache to {constants.HF_HUB_CACHE}"
    if isinstance(error, errors.OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
        return f"{what} is not in the cache, and HF_HUB_OFFLINE forbids downloading it: unset it, or {elsewhere}"
    reason = type(error).__name__
    if not isinstance(error, OSError) and not type(error).__module__.startswith("httpx"):
        return f"{what} could not be fetched: {reason}: {(str(error).strip() or 'no message').splitlines()[0]}"
    return f"{what} is not in the cache, and {constants.ENDPOINT} cannot be reached ({reason}): connect, or {elsewhere}"
