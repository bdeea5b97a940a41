"""A whole survey on a GPU through ``tg.survey``, beside the loop of its measurements alone; for ``gpu.py``.

The survey is real except for its weights: texts from the sources of Python's standard library, a byte-level BPE
tokenizer trained on some of them, and a store in a temporary folder. The loop measures the same token ids, which are
ready before it starts, and keeps nothing. Both run in one process, loop, survey, loop, so that their ratio does not
depend on the clock of the device.
"""

import dataclasses
import subprocess
import sysconfig
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from threading import Thread

import numpy as np

import tokengeom_utils as tg
from tokengeom_utils.surveys.jobs import parts, tokenize
from tokengeom_utils.surveys.measure import measure_arrays

GOAL = 0.95  # of the rate of the loop
NEEDED = ("zarr", "xarray", "numcodecs", "google_crc32c", "filelock")  # by the store
PASSES = 10  # of the loop, before and after the survey
TRAINED_ON, CHARACTERS = 4_000_000, 8  # characters of the tokenizer's texts; of a prompt, for each of its tokens
SAMPLE = 0.2  # seconds between two readings of the utilization


def measure_survey(model, options):
    """Return the rates of a survey and of its loop, and the utilization of the device; None where zarr is missing."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        print(f"no survey was measured: {', '.join(missing)} is not installed")
        return None
    texts = library_texts(options.prompts, CHARACTERS * options.tokens)
    model = dataclasses.replace(model, tokenizer=train_tokenizer(options.vocab))
    prompts = [tg.Prompt(f"{number:05}", "code", text) for number, text in enumerate(texts)]
    started = time.perf_counter()
    ids = tokenize(model, prompts, options.tokens)
    tokenizing = time.perf_counter() - started
    sizes = {"scale_max": options.scale_max, "k_max": options.k_max}
    with tempfile.TemporaryDirectory() as folder:
        few = max(options.survey_batch, 1)
        request = {"n_tokens": options.tokens, "batch": options.survey_batch, **sizes}
        tg.survey(model, prompts[:few], (0,), Path(folder, "warm-up.zarr"), **request)
        before = loop(model, ids, options)
        found = timed_survey(model, prompts, Path(folder, "survey.zarr"), request)
        after = loop(model, ids, options)
        check_same(model, ids, Path(folder, "survey.zarr"), options)
    return found | {
        "batch": options.survey_batch,
        "tokenizer": f"byte-level BPE, {len(model.tokenizer)} tokens",
        "characters of a prompt": median(map(len, texts)),
        "distinct tokens of a prompt": median(len(np.unique(row)) for row in ids),
        "seconds to tokenize once": tokenizing,
        "loop, before": before,
        "loop, after": after,
        "share of the loop": found["prompts per second, measuring"] / mean((before, after)),
        "share of the loop, in all": found["prompts per second, in all"] / mean((before, after)),
        "goal": GOAL,
    }


def library_texts(n, length):
    """Return ``n`` texts of some length, consecutive pieces of the standard library's sources."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")) + sorted(
        Path(sysconfig.get_path("stdlib")).glob("[a-z]*/*.py")
    )
    source = "".join(file.read_text(encoding="utf-8", errors="ignore") for file in files if "test" not in file.parts)
    # Beyond the end it starts again elsewhere, so that no two prompts are the same.
    laps = 1 + n * length // len(source)
    source = "".join(source[lap * length // laps :] for lap in range(laps + 1))
    return [source[i * length : (i + 1) * length] for i in range(n)]


def train_tokenizer(most):
    """Return a byte-level BPE tokenizer of at most so many tokens, as fast as those of real models."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=min(most, 32_000), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(library_texts(TRAINED_ON // 10_000, 10_000), trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made)


def loop(model, ids, options):
    """Return the prompts per second of the measurements alone."""
    groups = [group for group in parts(ids, options.survey_batch) if len(group) == options.survey_batch][:PASSES]
    started = time.perf_counter()
    for group in groups:
        measure_arrays(model, np.stack(group), options.scale_max, options.k_max)
    return len(groups) * options.survey_batch / (time.perf_counter() - started)


def timed_survey(model, prompts, out, request):
    """Return the rates of a survey, and the utilization of the device while it measured."""
    times, started = [], time.perf_counter()
    with utilization(model.device) as readings:
        tg.survey(
            model,
            prompts,
            (0,),
            out,
            progress=lambda done, *_: times.append((done, time.perf_counter())),
            **request,
        )
    ended = time.perf_counter()
    (_, first), (_, last) = times[0], times[-1]
    busy = [share for when, share in readings if first <= when <= last]
    return {
        "prompts": len(prompts),
        "seconds in all": ended - started,
        "seconds before the first measurement": first - started,
        "seconds after the last": ended - last,
        "prompts per second, in all": len(prompts) / (ended - started),
        "prompts per second, measuring": len(prompts) / (ended - first),  # until all of them are on the disk
        "utilization percent": mean(busy) if busy else None,
        "readings of the utilization": len(busy),
    }


@contextmanager
def utilization(device):
    """Yield a list that nvidia-smi fills with (time, percent of the time in which a program ran on the device)."""
    readings = []
    if device.type != "cuda":
        yield readings
        return
    import torch

    which = f"--id={torch.cuda.get_device_properties(device).uuid}"
    which = which if which.startswith("--id=GPU-") else f"--id=GPU-{which.removeprefix('--id=')}"
    command = ["nvidia-smi", which, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen(
            [*command, f"--loop-ms={1000 * SAMPLE:.0f}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        yield readings
        return

    def read():
        for line in process.stdout:
            if line.strip().isdigit():
                readings.append((time.perf_counter(), int(line)))

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        yield readings
    finally:
        process.terminate()
        process.wait()
        reader.join()


def check_same(model, ids, out, options):
    """Stop unless the store holds what the loop measures, bit for bit."""
    results = tg.open_results(out)
    some = [min(i, len(ids) - 1) for i in range(options.survey_batch)]
    values, _ = measure_arrays(model, np.stack([ids[i] for i in some]), options.scale_max, options.k_max)
    for name, wanted in values.items():
        found = results[name].values[some, 0]
        if not np.array_equal(found, wanted.astype(found.dtype), equal_nan=True):
            raise SystemExit(f"gpu.py: {name} in the store is not what the loop measures")


def report(found):
    """Print the rates."""
    busy = found["utilization percent"]
    print(
        f"\nsurvey of {found['prompts']:,} prompts, {found['batch']} at once: "
        f"{found['prompts per second, measuring']:.2f} prompts/s, {found['share of the loop']:.0%} of the loop "
        f"({found['loop, before']:.2f} before, {found['loop, after']:.2f} after; goal {GOAL:.0%}), device "
        + (f"busy {busy:.0f} % of the time" if busy is not None else "without readings of its utilization")
        + f"\n  {found['seconds in all']:.1f} s in all, {found['seconds before the first measurement']:.1f} s of them "
        f"before the first measurement; {found['prompts per second, in all']:.2f} prompts/s over all of it",
        flush=True,
    )
