"""The three exceptions a user is meant to read."""


class InputError(ValueError):
    """Bad input, explained in one line; the command line prints it and exits with code 2."""


class BuildError(RuntimeError):
    """A chapter or the site failed; the message says where and why. Exit code 1."""


class PartialSurvey(RuntimeError):
    """A survey stopped before its end; what is measured is safe, and the same command goes on. Exit code 3."""
