"""A causal language model with its tokenizer, and a tokenizer alone.

Neither this module nor a :class:`Tokenizer` imports torch, so texts are tokenized without it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .locate import Source
from .quiet import quiet_transformers
from .read import one_line_errors, read_tokenizer

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Tokens:
    """Text to token ids, for a class with these attributes."""

    name: str
    tokenizer: Any

    def tokenize(self, text: str, n_tokens: int | None = None, name: str = "the prompt") -> "np.ndarray":
        """Return the token ids of a text, stripped and without special tokens.

        Parameters
        ----------
        text : str
        n_tokens : int, optional
            Cut the ids to this number.
        name : str
            What the error calls the text.

        Returns
        -------
        numpy.ndarray of int64, shape (token,)

        Raises
        ------
        InputError
            If the text has fewer than ``n_tokens`` tokens.
        """
        import numpy as np

        ids = self._ids([text])[0]
        if n_tokens is not None and len(ids) < n_tokens:
            raise InputError(
                f"{name} has {len(ids)} tokens under {self.name}, fewer than n_tokens = {n_tokens}: "
                "use a longer text or a smaller n_tokens"
            )
        return np.asarray(ids[:n_tokens], dtype=np.int64)

    def lengths(self, texts: Iterable[str]) -> list[int]:
        """Return the numbers of tokens of many texts, counted as :meth:`tokenize` does.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        list of int
        """
        return [len(ids) for ids in self._ids(texts)]

    def _ids(self, texts):
        """Token ids of each text."""
        texts = [text.strip() for text in texts]
        return self.tokenizer(texts, add_special_tokens=False, verbose=False, return_attention_mask=False)["input_ids"]


@dataclass(frozen=True)
class LanguageModel(Tokens):
    """A causal language model with its tokenizer.

    Attributes
    ----------
    name : str
        The name it was loaded by.
    network : transformers.PreTrainedModel
        A causal language model of transformers, in eval mode.
    tokenizer : transformers.PreTrainedTokenizerBase or None
    fingerprint : str
        Identifies the weights: a hash of the files, or the commit on the Hub.

    See Also
    --------
    load_model : loads one by its name.
    tiny_model : a very small one, for examples.

    Notes
    -----
    Introduced in the chapter *From text to token clouds*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> model.n_layers, model.n_features, model.device
    (2, 32, device(type='cpu'))
    >>> model.tokenize("Token clouds").shape
    (12,)
    """

    name: str
    network: "PreTrainedModel" = field(repr=False)
    tokenizer: "PreTrainedTokenizerBase | None" = field(repr=False)
    fingerprint: str

    @property
    def n_layers(self) -> int:
        """Number of transformer blocks L; there are L + 1 clouds, the embeddings being layer 0."""
        return self.network.config.get_text_config().num_hidden_layers

    @property
    def n_features(self) -> int:
        """Dimension D of a token vector."""
        return self.network.config.get_text_config().hidden_size

    @property
    def device(self) -> "torch.device":
        """Device of the weights."""
        return self.network.device

    @cached_property  # it belongs to the model and is freed with it
    def logit_factor(self) -> "torch.Tensor":
        """Triangular factor R of the output embedding W = Q R: (feature, feature), float64, on :attr:`device`."""
        import torch

        with torch.no_grad():
            return torch.linalg.qr(self.network.get_output_embeddings().weight.double(), mode="r").R


@dataclass(frozen=True)
class Tokenizer(Tokens):
    """The tokenizer of a model without the model, to select prompts by their length.

    Its files are read when it is first used.

    Attributes
    ----------
    name : str
        The name of the model.
    fingerprint : str
        Identifies the tokenizer: a hash of its files, or the commit on the Hub.
    source : tokengeom_utils.models.locate.Source
        Its files.

    See Also
    --------
    load_tokenizer : finds one by the name of its model.
    load_prompts : keeps texts that are long enough under some tokenizers.

    Examples
    --------
    >>> import tempfile
    >>> import tokengeom_utils as tg
    >>> folder = tempfile.mkdtemp()
    >>> files = tg.tiny_model().tokenizer.save_pretrained(folder)
    >>> tg.load_tokenizer(folder).tokenize("Token clouds", n_tokens=5).shape
    (5,)
    """

    name: str
    fingerprint: str
    source: Source = field(repr=False)

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer of transformers."""
        with one_line_errors(self.name), quiet_transformers():
            return read_tokenizer(self.source)
