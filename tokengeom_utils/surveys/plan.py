"""The plan of a survey: a model that is loaded only when it is needed, the prompts, and what each still lacks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..models.language_model import LanguageModel
from ..models.load import load_model
from ..models.locate import absolute, known_fingerprint
from ..prompts.load import Prompt
from .request import Request

if TYPE_CHECKING:
    from .measure import Watch
    from .rows import Row


@dataclass(frozen=True)
class LazyModel:
    """A model known by its name, loaded when a measurement needs it; on a cluster each worker loads its own.

    Attributes
    ----------
    source : str or path
        The name for :func:`tokengeom_utils.load_model`.
    device, dtype, bos : str
        Likewise.
    name : str
        The name that a survey records; ``source`` by default.
    say : callable, optional
        Called with a line of text before the model is loaded.

    Examples
    --------
    >>> LazyModel("smollm2-135m", dtype="float32").known_provenance()["dtype"]
    'torch.float32'
    """

    source: str | Path
    device: str = "auto"
    dtype: str = "auto"
    name: str = ""
    bos: str = "never"
    say: Callable[[str], object] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or str(self.source))

    def load(self) -> LanguageModel:
        """Load the model."""
        if self.say:
            self.say(f"loading {self.source} ...")
        return load_model(self.source, self.device, self.dtype, self.bos, self.say or (lambda text: None))

    def known_provenance(self) -> dict[str, Any]:
        """Return the entries of a run's provenance that are known before the model is loaded."""
        dtype = {} if self.dtype == "auto" else {"dtype": f"torch.{str(self.dtype).removeprefix('torch.')}"}
        return {"model_fingerprint": known_fingerprint(self.source), **dtype}


class Plan(NamedTuple):
    """A survey to measure: the model, the prompts, and the request."""

    model: LanguageModel | LazyModel
    prompts: Sequence[Prompt]
    request: Request  #: from :func:`tokengeom_utils.surveys.request.make_request`
    batch: int | None = None  #: measurements per forward pass; None: by the device
    profile: str = ""  #: recorded in the store
    watch: "Watch | None" = None  #: who sees the clouds; nobody does on workers

    def load(self) -> LanguageModel:
        """Return the model, loaded."""
        return self.model.load() if isinstance(self.model, LazyModel) else self.model

    def known_provenance(self) -> dict[str, Any]:
        """Return the entries of a run's provenance that are known before the model is loaded."""
        if isinstance(self.model, LazyModel):
            return {**self.model.known_provenance(), "batch": self.batch}
        return {
            "model_fingerprint": self.model.fingerprint,
            "dtype": str(self.model.network.dtype),
            "batch": self.batch,
        }

    def degrees(self, done: np.ndarray) -> dict[int, tuple[int, ...]]:
        """Return the degrees of shuffling to measure of each prompt that is not done, by its place."""
        every = tuple(self.request["shuffles"])
        return {int(i): every if i < self.request["n_shuffled"] else (0,) for i in np.flatnonzero(~done)}

    def part(self, places: Sequence[int]) -> "Plan":
        """Return a plan for some of the prompts, small enough to send to a worker, which loads the model itself."""
        model = self.model
        lazy = model if isinstance(model, LazyModel) else LazyModel(model.name, bos=model.bos)
        request = {name: value for name, value in self.request.items() if name != "prompts"}
        return self._replace(
            model=LazyModel(absolute(lazy.source), lazy.device, lazy.dtype, lazy.name, lazy.bos),
            prompts=[self.prompts[i] for i in places],
            request=request,
            watch=None,
        )


class Measured(NamedTuple):
    """A measured prompt."""

    place: int  #: of the prompt
    row: "Row | InputError"  #: its observables by name, or why there are none
    provenance: dict[str, Any]  #: how they were made


def as_plan_model(model: Any) -> LanguageModel | LazyModel:
    """Return a model, or a name as a :class:`LazyModel`; raise ``InputError`` for anything else."""
    if isinstance(model, (str, Path)):
        return LazyModel(model)
    if not isinstance(model, (LanguageModel, LazyModel)):
        raise InputError(f"a survey needs a model or the name of one, not {type(model).__name__}")
    return model
