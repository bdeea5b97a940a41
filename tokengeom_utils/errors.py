"""The three exceptions meant for users. Each message states what was wrong, where, and what to do next."""


class InputError(ValueError):
    """Invalid input, explained in one line.

    The command line prints the message and exits with code 2.

    See Also
    --------
    BuildError : a chapter or the site failed.
    PartialSurvey : a survey stopped early.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> try:
    ...     tg.shuffle_blocks(range(6), degree=1)
    ... except tg.InputError as error:
    ...     print(error)
    n_tokens = 6 cannot be cut into 4^1 = 4 equal blocks: use a multiple of 4 or a lower shuffle degree
    """

    exit_code = 2


class BuildError(RuntimeError):
    """A failure of a chapter or of the site; the message states where and why.

    The command line prints the message and exits with code 1.

    See Also
    --------
    InputError : the input was invalid, and nothing was built.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> issubclass(tg.BuildError, RuntimeError)
    True
    """

    exit_code = 1


class PartialSurvey(RuntimeError):
    """A survey that stopped before its end.

    Everything measured so far is stored; running the same command again resumes the survey. The command line prints
    the message and exits with code 3.

    See Also
    --------
    survey : raises it.
    open_results : opens what is complete.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> issubclass(tg.PartialSurvey, RuntimeError)
    True
    """

    exit_code = 3
