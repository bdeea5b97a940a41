"""What the usual beginning of a sequence changes for a model that is measured without it."""

from numpy.typing import ArrayLike

from .bos import usual_prefix
from .extract import stream_clouds
from .language_model import LanguageModel


def loss_with_and_without(model: LanguageModel, token_ids: ArrayLike) -> tuple[float, float]:
    """Return the mean loss of a prompt behind the tokens that its tokenizer would add, and without them, in nats.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,)

    Returns
    -------
    tuple of float
    """

    def loss(rule):
        return float(stream_clouds(model.with_bos(rule), token_ids, lambda cloud: None).double().mean())

    return loss("auto"), loss("never")


def advice(model: LanguageModel, token_ids: ArrayLike, prompt: str) -> str | None:
    """Return a line that says what a model's usual beginning changes, or None where it has none or it is there.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,)
        Tokens of a prompt, measured both ways.
    prompt : str
        What the line calls the prompt.

    Returns
    -------
    str or None
    """
    usual = usual_prefix(model.tokenizer)
    if model.bos != "never" or not usual or model.tokenizer is None:
        return None
    tokens = "".join(model.tokenizer.convert_ids_to_tokens(list(usual)))
    behind, without = loss_with_and_without(model, token_ids)
    return (
        f"the tokenizer of {model.name} would put {tokens} in front of a text, which is left out here as in the paper; "
        f"behind it, the mean loss of {prompt} is {behind:.2f} instead of {without:.2f} nats: "
        "bos = auto (--bos auto) measures with it"
    )
