"""The characters of a text that each of its tokens stands for."""

from collections.abc import Iterable

from .language_model import Tokens


def pieces(reader: Tokens, text: str, n_tokens: int) -> list[str]:
    """Cut a text into the characters of its first tokens.

    Joined, the pieces are the beginning of the text, stripped: characters that the tokenizer drops, such as a space
    before a word, belong to the token after them. Where several tokens spell one character, the first has it, and the
    others are empty. A tokenizer that does not report places in the text decodes each token by itself.

    Parameters
    ----------
    reader : LanguageModel or Tokenizer
    text : str
    n_tokens : int
        The text must have so many tokens.

    Returns
    -------
    list of str
        One for each token.

    Raises
    ------
    InputError
        If the text is shorter.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> pieces(tg.tiny_model(), "naïve", 6)
    ['n', 'a', 'ï', '', 'v', 'e']
    """
    text = text.strip()
    ids = reader.tokenize(text, n_tokens).tolist()
    if getattr(reader.tokenizer, "is_fast", False):
        found = reader.encode([text], return_offsets_mapping=True)
        if found["input_ids"][0][:n_tokens] == ids:
            return _cut(text, found["offset_mapping"][0][:n_tokens])
    return [reader.tokenizer.decode([token]) for token in ids]


def _cut(text: str, places: Iterable[tuple[int, int]]) -> list[str]:
    """The pieces of a text between the ends of its tokens."""
    found, at = [], 0
    for _, end in places:
        found.append(text[at : max(at, end)])
        at = max(at, end)
    return found
