"""The folder of the explorer's scripts: a file for each cloud, kept as long as nothing that made it has changed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...models.extract import stream_clouds
from ...prompts.prompt import Prompt
from ...prompts.shuffle import prompt_seed, shuffle_blocks
from ...surveys.plan import Plan
from ..build.staleness import PACKAGE, combine, files, hash_files
from .choice import chosen_clouds
from .clouds import CloudFile

#: parts of the package that a cloud's file depends on
PARTS = ("clouds", "models", "prompts", "site/explorer")


class Folder:
    """The files of the clouds that the explorer shows of a survey.

    Parameters
    ----------
    path : path
        Made when the first file is written.
    plan : Plan
        The survey.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path, self.plan = path, plan
        request = {name: value for name, value in plan.request.items() if name in ("model", "n_tokens", "seed", "bos")}
        code = hash_files(PACKAGE, [file for part in PARTS for file in files(PACKAGE / part) if file.suffix == ".py"])
        self._key = combine(code, json.dumps(request, sort_keys=True), json.dumps(plan.known_provenance(), default=str))
        n_shuffled, every = plan.request["n_shuffled"], list(plan.request["shuffles"])
        degrees = [every if place < n_shuffled else [0] for place in range(len(plan.prompts))]
        self.chosen = chosen_clouds([prompt.domain for prompt in plan.prompts], degrees)
        self._places = {prompt.id: place for place, prompt in enumerate(plan.prompts)}

    def missing(self) -> list[tuple[int, int]]:
        """List the clouds whose file is missing or was made otherwise."""
        return [cloud for cloud in self.chosen if not self._is_current(*cloud)]

    def watch(self, prompt: Prompt, degree: int) -> "_Writer | None":
        """Return who writes the file of a cloud while a survey measures it; None if it is not shown, or is there."""
        cloud = self._places[prompt.id], degree
        return _Writer(self, *cloud) if cloud in self.chosen and not self._is_current(*cloud) else None

    def write_missing(self) -> Iterator[int]:
        """Write the files that are missing, each in a forward pass of its own, and yield how many are done."""
        if clouds := self.missing():
            model = self.plan.load()
            for done, (place, degree) in enumerate(clouds):
                yield done
                ids = self._token_ids(model, place, degree)
                writer = _Writer(self, place, degree)
                writer.finish(model, ids, stream_clouds(model, ids, writer.update))
            yield len(clouds)

    def remove_leftovers(self) -> None:
        """Remove the files of clouds that the explorer does not show any more."""
        shown = {self._file(*cloud) for cloud in self.chosen}
        for file in set(self.path.glob("*-*.js")) - shown:
            file.unlink()

    def origin(self, place: int, degree: int) -> np.ndarray:
        """Return the place of each token in the text in order."""
        prompt, request = self.plan.prompts[place], self.plan.request
        return shuffle_blocks(range(request["n_tokens"]), degree, prompt_seed(request["seed"], prompt.id, degree))

    def _token_ids(self, model, place, degree):
        prompt = self.plan.prompts[place]
        ids = model.tokenize(prompt.text, self.plan.request["n_tokens"], name=f"prompt {prompt.id}")
        return np.asarray(ids)[self.origin(place, degree)]

    def _file(self, place, degree):
        return self.path / f"{place}-{degree}.js"

    def _stamp(self, place, degree):
        prompt: Prompt = self.plan.prompts[place]
        return f"// {combine(self._key, prompt.id, prompt.sha256, str(degree))}\n"

    def _is_current(self, place, degree):
        file = self._file(place, degree)
        if not file.is_file():
            return False
        with open(file, encoding="utf-8") as lines:
            return lines.readline() == self._stamp(place, degree)

    def write(self, place: int, degree: int, script: str) -> None:
        """Write the file of a cloud, whole or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        file = self._file(place, degree)
        scratch = file.with_suffix(".part")
        scratch.write_text(self._stamp(place, degree) + script, encoding="utf-8", newline="\n")
        os.replace(scratch, file)


class _Writer(CloudFile):
    """Writes its file when it has seen everything."""

    def __init__(self, folder, place, degree):
        super().__init__()
        self._folder, self._place, self._degree = folder, place, degree

    def finish(self, model, token_ids, loss):
        origin = self._folder.origin(self._place, self._degree)
        script = self.script(f"{self._place}-{self._degree}", model, token_ids, loss, origin)
        self._folder.write(self._place, self._degree, script)
