"""Token ids that the model has no embedding for."""

from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from .language_model import LanguageModel


def check_ids(model: "LanguageModel", token_ids: Any, name: str = "the prompt") -> None:
    """Raise ``InputError`` unless these are whole numbers, and the input embedding has a row for each.

    A tokenizer to which tokens were added after the training may give ids beyond the end of the embedding.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int
        Of any shape, on the CPU.
    name : str
        What the error calls the prompt.

    Raises
    ------
    InputError
        If they are not an array of whole numbers, or names the first token without a row.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> check_ids(tg.tiny_model(), [0, 1])
    >>> try:
    ...     check_ids(tg.tiny_model(), [0, 300], "essay")
    ... except tg.InputError as error:
    ...     print(str(error).split(":")[0])
    essay has the token id 300, but the embedding of tiny has 256 rows
    """
    import numpy as np

    try:
        ids = np.asarray(token_ids)
    except ValueError:
        raise InputError(
            f"the token ids of {name} are not an array: prompts measured at once need one length"
        ) from None
    if ids.ndim not in (1, 2) or (ids.dtype.kind not in "iu" and ids.size):
        raise InputError(f"{name} must be token ids, whole numbers of shape (token,) or (prompt, token)")
    rows = getattr(model.network.get_input_embeddings(), "num_embeddings", None)
    if rows is None or not ids.size or (ids.min() >= 0 and ids.max() < rows):
        return
    first = int(ids[(ids < 0) | (ids >= rows)].flat[0])
    string = model.tokenizer.convert_ids_to_tokens(first) if model.tokenizer and first >= 0 else None
    if string is None:
        raise InputError(
            f"{name} has the token id {first}, but the embedding of {model.name} has {rows} rows: "
            f"use ids from 0 to {rows - 1}"
        )
    raise InputError(
        f"{name} has the token {string!r} with id {first}, but the embedding of {model.name} has only {rows} rows: the "
        "token was added to the tokenizer and never trained; get the tokenizer files that belong to the weights, or "
        "leave the token out of the text"
    )
