"""A causal language model with its tokenizer, and a tokenizer alone.

Neither this module nor a :class:`Tokenizer` imports torch, so texts are tokenized without it.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .bos import find_prefix
from .locate import Source
from .quiet import quiet_transformers
from .read import one_line_errors, read_tokenizer

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .anatomy import Anatomy


class Tokens:
    """Text to token ids, for a class with these attributes."""

    name: str
    tokenizer: Any

    def tokenize(self, text: str, n_tokens: int | None = None, name: str = "the prompt") -> "np.ndarray":
        """Return the token ids of a text, stripped and without special tokens.

        The string of a special token inside the text, such as ``<|endoftext|>`` or ``</s>``, is plain characters: it
        becomes the tokens that spell it. To measure special tokens, give their ids to
        :func:`tokengeom_utils.measure_tokens`.

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
        return self._checked(text, self._ids([text])[0], n_tokens, name)

    def tokenize_each(self, texts: Sequence[str], n_tokens: int, names: Sequence[str]) -> "list[np.ndarray]":
        """Return what :meth:`tokenize` returns for each of some texts; the tokenizer may use all cores.

        Parameters
        ----------
        texts : sequence of str
        n_tokens : int
            Cut the ids of each to this number.
        names : sequence of str
            What the error calls each text.

        Returns
        -------
        list of numpy.ndarray of int64, shape (token,)

        Raises
        ------
        InputError
            If a text has fewer than ``n_tokens`` tokens; names the first.
        """
        return [
            self._checked(text, ids, n_tokens, name)
            for text, ids, name in zip(texts, self._ids(texts), names, strict=True)
        ]

    def _checked(self, text, ids, n_tokens, name):
        """The first token ids of a text, as an array."""
        import numpy as np

        if n_tokens is not None and len(ids) < n_tokens:
            raise InputError(
                f"{name} has {len(ids)} tokens under {self.name}, fewer than n_tokens = {n_tokens}: "
                "use a longer text or a smaller n_tokens"
            )
        ids = ids[:n_tokens]
        self._warn_of_specials(text, ids, name)
        return np.asarray(ids, dtype=np.int64)

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
        return self.encode([text.strip() for text in texts])["input_ids"]

    def encode(self, texts: list[str], **options: bool) -> Any:
        """Return all that the tokenizer finds for some texts, which :meth:`tokenize` takes the ids of.

        Parameters
        ----------
        texts : list of str
            Stripped.
        **options
            More of the tokenizer.

        Returns
        -------
        transformers.BatchEncoding
        """
        if self.tokenizer is None:
            raise InputError(f"{self.name} has no tokenizer: measure token ids, with tg.measure_tokens")
        options |= {"add_special_tokens": False, "verbose": False, "return_attention_mask": False}
        if type(self.tokenizer).__name__ != "MistralCommonBackend":  # it splits them always, and refuses the option
            options["split_special_tokens"] = True
        return self.tokenizer(texts, **options)

    def _warn_of_specials(self, text, ids, name):
        """Warn of special strings that the vocabulary lists as ordinary pieces, as those of SentencePiece's Unigram."""
        tokenizer, present = self.tokenizer, set(ids)
        unknown = getattr(tokenizer, "unk_token_id", None)  # it stands for characters that the vocabulary lacks
        pairs = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
        found = [string for string, i in pairs if i in present and i != unknown and len(string) > 1 and string in text]
        if found:
            warnings.warn(
                f"{name} contains {found[0]}, which the tokenizer of {self.name} reads as a special token, not as "
                "characters: remove it from the text, or mind that it is in the cloud",
                stacklevel=4,
            )


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
    bos : {"never", "auto", "always"}
        Whether a beginning-of-sequence token precedes every prompt: never, as in the paper; if the tokenizer itself
        would add it; or always. It belongs neither to the clouds nor to the losses.

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
    bos: str = "never"

    def with_bos(self, rule: str) -> "LanguageModel":
        """Return the same model with another rule for the beginning of a sequence.

        Parameters
        ----------
        rule : {"never", "auto", "always"}

        Returns
        -------
        LanguageModel

        Raises
        ------
        InputError
            If there must always be such a token and the tokenizer has none.
        """
        other = replace(self, bos=rule)
        vars(other)["anatomy"] = self.anatomy  # found once
        _ = other.prefix  # or the error comes now
        return other

    @cached_property
    def prefix(self) -> tuple[int, ...]:
        """Ids of the tokens in front of every prompt, by the rule :attr:`bos`; usually none."""
        return find_prefix(self.tokenizer, self.bos, self.name)

    @property
    def n_layers(self) -> int:
        """Number of transformer blocks L; there are L + 1 clouds, the embeddings being layer 0."""
        return len(self.anatomy.blocks)

    @property
    def n_features(self) -> int:
        """Dimension D of a token vector."""
        return self.anatomy.n_features

    @property
    def device(self) -> "torch.device":
        """Device of the weights."""
        return self.network.device

    @cached_property
    def anatomy(self) -> "Anatomy":
        """Where the clouds and the logits are in the network; found and proved at the first use."""
        from .anatomy import examine

        return examine(self.network, self.name)

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
