"""The measurements of a survey as jobs: one prompt at one degree of shuffling each, with its token ids."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from ..models.language_model import LanguageModel
from ..models.vocabulary import check_ids
from ..prompts.load import Prompt
from ..prompts.shuffle import bleu, prompt_seed, shuffle_blocks
from .request import Request

TEXTS = 64  #: texts that are tokenized together, on all cores if the tokenizer can
KEPT = 2**24  #: token ids that are kept between the check of the lengths and the measurement, 64 MiB
_Item = TypeVar("_Item")


class Job(NamedTuple):
    """One measurement."""

    place: int  #: of the prompt
    degree: int  #: of shuffling
    token_ids: np.ndarray  #: shuffled
    bleu: float  #: against the order of the text


def parts(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """Cut a sequence into parts of at most ``size``.

    >>> parts([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [items[i : i + size] for i in range(0, len(items), size)]


def tokenize(model: LanguageModel, prompts: Sequence[Prompt], n_tokens: int) -> list[np.ndarray]:
    """Return the first token ids of each prompt, int32.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of Prompt
    n_tokens : int

    Returns
    -------
    list of numpy.ndarray, shape (token,)

    Raises
    ------
    InputError
        If a prompt has fewer than ``n_tokens`` tokens, or one without an embedding; names the first.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tokenize(tg.tiny_model(), [tg.Prompt("a", "essay", "Tokens move.")], n_tokens=4)[0].shape
    (4,)
    """
    found = []
    for some in parts(prompts, TEXTS):
        names = [f"prompt {prompt.id}" for prompt in some]
        for ids, name in zip(model.tokenize_each([p.text for p in some], n_tokens, names), names, strict=True):
            check_ids(model, ids, name)
            found.append(ids.astype(np.int32))
    return found


def tokenize_few(
    model: LanguageModel, prompts: Sequence[Prompt], places: Sequence[int], n_tokens: int
) -> dict[int, np.ndarray]:
    """Check all prompts as :func:`tokenize` does; return the token ids of the first by place, :data:`KEPT` in all.

    So a prompt is tokenized once, and a million of them need no more memory than some thousands.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of Prompt
    places : sequence of int
        The places of the prompts to check.
    n_tokens : int

    Returns
    -------
    dict of int to numpy.ndarray, shape (token,)

    Raises
    ------
    InputError
        As :func:`tokenize`.
    """
    known: dict[int, np.ndarray] = {}
    for some in parts(places, TEXTS):
        found = tokenize(model, [prompts[i] for i in some], n_tokens)
        known |= {i: ids for i, ids in zip(some, found, strict=True) if (len(known) + TEXTS) * n_tokens <= KEPT}
    return known


def jobs(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    degrees: Mapping[int, Sequence[int]],
    request: Request,
    known: Mapping[int, np.ndarray],
) -> Iterator[Job]:
    """Yield the jobs of some prompts, prompt by prompt.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of Prompt
    degrees : mapping of int to sequence of int
        The degrees of shuffling to measure of each prompt, by its place.
    request : dict
        From :func:`tokengeom_utils.surveys.request.make_request`.
    known : mapping of int to numpy.ndarray
        Token ids by place, from :func:`tokenize_few`; others are tokenized here.

    Yields
    ------
    Job
    """
    for places in parts(list(degrees), TEXTS):
        unknown = [i for i in places if i not in known]
        found = dict(zip(unknown, tokenize(model, [prompts[i] for i in unknown], request["n_tokens"]), strict=True))
        for i in places:
            ids = (known[i] if i in known else found[i]).astype(np.int64)
            for degree in degrees[i]:
                shuffled = shuffle_blocks(ids, degree, prompt_seed(request["seed"], prompts[i].id, degree))
                yield Job(i, degree, shuffled, bleu(shuffled, ids))
