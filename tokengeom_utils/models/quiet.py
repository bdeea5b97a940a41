"""transformers without its progress bars and advice."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the progress bars and the advice of transformers, and restore its settings afterwards.

    Examples
    --------
    >>> with quiet_transformers():
    ...     from transformers.utils import logging
    ...     logging.is_progress_bar_enabled()
    False
    """
    with warnings.catch_warnings():  # importing it in a notebook without widgets makes tqdm complain
        warnings.filterwarnings("ignore", "IProgress not found")
        import transformers.modeling_utils  # noqa: F401
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
