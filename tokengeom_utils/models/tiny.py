"""A very small language model, made in a moment without any files, for examples and for first steps."""

from .language_model import LanguageModel
from .quiet import quiet_transformers
from .untrained import untrained_network


def tiny_model(n_layers: int = 2, n_features: int = 32) -> LanguageModel:
    """Make a small Llama with random weights, the same ones every time; each byte of a text is a token.

    Parameters
    ----------
    n_layers : int
        Number of transformer blocks.
    n_features : int
        Dimension of a token vector; a multiple of 8.

    Returns
    -------
    LanguageModel
        On the CPU, in float32, for prompts of up to 4096 tokens.

    See Also
    --------
    load_model : loads a trained model.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model = tg.tiny_model()
    >>> tg.token_clouds(model, model.tokenize("Token clouds")).hidden.shape
    torch.Size([3, 12, 32])
    """
    with quiet_transformers():
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import LlamaConfig, PreTrainedTokenizerFast

        config = LlamaConfig(
            vocab_size=256,
            hidden_size=n_features,
            intermediate_size=2 * n_features,
            num_hidden_layers=n_layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            initializer_range=0.1,
        )  # large, so that layers differ
        network, fingerprint = untrained_network(config)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        letters = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
        letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        letters.decoder = decoders.ByteLevel()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters)
    return LanguageModel("tiny", network.eval(), tokenizer, fingerprint)
