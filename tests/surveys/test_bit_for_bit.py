"""A survey that is killed and resumed ends with the same bytes: on a GPU by ``make gpu-test``, on a CPU always."""

import os
import signal
import subprocess
import sys

import pytest
import tiny_survey
import torch
from conftest import PROJECT, UNMEASURED

import tokengeom_utils as tg
from tokengeom_utils.surveys import store
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.measure import measure_arrays
from tokengeom_utils.surveys.plan import LazyModel

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
    ),
]
BATCH, TOKENS, PROMPTS = 3, 256, 10
#: an odd vocabulary, whose rows begin anywhere in a vector register, and some layers
SIZES = {"vocab_size": 1001, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4}
SMALL = {"vocab_size": 1001}  # on a CPU, where any size shows whether the logic is right


@pytest.fixture(scope="module", params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(scope="module")
def folder(device, tmp_path_factory):
    return tiny_survey.save_model(tmp_path_factory.mktemp("model"), **(SIZES if device == "cuda" else SMALL))


def run(folder, out, device, batch):
    """Run the survey, or resume it."""
    model = LazyModel(folder, device, name="tiny")
    prompts = tiny_survey.prompts(PROMPTS, letters=TOKENS + 10)
    sizes = {"n_shuffled": 4, "n_tokens": TOKENS, "scale_max": 64, "k_max": 31}
    return tg.survey(model, prompts, (0, 1, 3), out, batch=batch, **sizes)


def run_and_die(writes, *arguments):
    """Run the survey in this process, which kills itself when so many prompts are written, others waiting."""
    write, left = store.Store.write, iter(range(writes - 1, -1, -1))

    def write_and_die(self, *row):
        write(self, *row)
        if not next(left):
            os.kill(os.getpid(), signal.SIGKILL)

    store.Store.write = write_and_die
    run(*arguments)


@pytest.mark.skipif(os.name == "nt", reason="kills a process by a signal of POSIX")
@pytest.mark.parametrize("batch", [BATCH, None])
def test_a_survey_killed_twice_ends_with_the_same_bytes(folder, device, batch, tmp_path):
    if batch is None and device == "cpu":
        pytest.skip("one measurement in a pass, which other tests kill")
    whole, out = tmp_path / "whole.zarr", tmp_path / "survey.zarr"
    assert run(folder, whole, device, batch).attrs["batch"] > 1
    paths = PROJECT, PROJECT / "tests", PROJECT / "tests" / "surveys"
    for writes, held in ((2, 2), (3, 5)):  # the third and the sixth prompt come to lie elsewhere in a pass
        arguments = writes, str(folder), str(out), device, batch
        ended = subprocess.run(
            [sys.executable, "-c", f"import test_bit_for_bit; test_bit_for_bit.run_and_die(*{arguments!r})"],
            env={**UNMEASURED, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert store.count(out) == held and examine(out)[0].is_sound
    run(folder, out, device, batch)
    assert tiny_survey.files(out) == tiny_survey.files(whole)


def test_a_prompt_has_the_same_bits_at_every_place_of_a_pass(folder, device):
    model = tg.load_model(folder, device)
    ids = torch.randint(0, 1001, (5, TOKENS), generator=torch.Generator().manual_seed(0)).numpy()
    at_first, _ = measure_arrays(model, ids, 64, 31)
    for shift in range(1, 5):
        order = [(i + shift) % 5 for i in range(5)]
        found, _ = measure_arrays(model, ids[order], 64, 31)
        for name, values in found.items():
            assert values.tobytes() == at_first[name][order].tobytes(), (name, shift)
