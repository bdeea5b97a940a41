"""The claims of the paper, judged by a written rule on the numbers of a survey."""

from .judging import *  # noqa: F403
from .ledger import *  # noqa: F403
