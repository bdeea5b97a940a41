"""A survey of a tiny model that takes a second, for tests that stop surveys in this and in other processes.

Run as a program, it kills such surveys:  tiny_survey.py FOLDER KILLS
"""

import dataclasses
import json
import os
import random
import signal
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from unittest import mock

PROMPTS, DEGREES, REQUEST = 8, (0, 1, 2), {"n_shuffled": 4, "n_tokens": 64, "scale_max": 16, "k_max": 8}
ALPHABET = "abcdefghijklmnopqrstuvwxyz .,;"


def save_model(folder, **changes):
    """Save a Llama of two layers with random weights and a tokenizer of characters; return the folder.

    ``changes`` are to its configuration.
    """
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    sizes = {
        "vocab_size": len(ALPHABET),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    config = hf.LlamaConfig(**(sizes | changes))
    network = hf.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # larger weights than at initialization, so that layers differ
        for weight in network.parameters():
            weight.mul_(3)
    network.save_pretrained(folder)
    vocabulary = {letter: i for i, letter in enumerate(ALPHABET)}
    letters = Tokenizer(models.WordLevel(vocabulary, unk_token="."))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    hf.PreTrainedTokenizerFast(tokenizer_object=letters, unk_token=".").save_pretrained(folder)
    return folder


def prompts(n=PROMPTS, letters=100):
    """Prompts of random letters."""
    from tokengeom_utils import Prompt

    generator = random.Random(0)
    return [Prompt(f"text-{i}", "letters", "".join(generator.choices(ALPHABET[:26], k=letters))) for i in range(n)]


def run(model, out, group=3, **options):
    """Run the survey, or resume it; a new store gets chunks of ``group`` prompts (one until version 0.2)."""
    import tokengeom_utils as tg
    from tokengeom_utils.surveys import layout

    with mock.patch.object(layout, "PROMPTS", group):
        return tg.survey(named(model), prompts(), DEGREES, out, **{**REQUEST, **options})


def begun_before(store, places):
    """Turn a complete store of one prompt in a chunk into one that version 0.2 left before it measured some prompts."""
    for i in places:
        for chunk in store.glob(f"*/c.{i}*"):
            chunk.unlink()
    return store


def named(model, **options):
    """A model, or a folder with one, under the same name wherever its files are."""
    from tokengeom_utils.surveys.plan import LazyModel

    if isinstance(model, (str, Path)):
        return LazyModel(model, name="tiny", **options)
    return dataclasses.replace(model, name="tiny")


def files(store):
    """Return the bytes of every file of a store."""
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


def in_a_child(what):
    """Call ``what`` in a forked process, which exits with 0 on success; return its id."""
    pid = os.fork()
    if not pid:
        try:
            what()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def end(child):
    """Wait for a child; return whether it was killed. Any end other than that or success is an error."""
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WIFSIGNALED(status), status
    return status != 0


def main(folder, kills):
    """Kill surveys at random moments, resuming each time; print the state of the store after each."""
    import torch
    import xarray  # noqa: F401
    import zarr  # noqa: F401

    import tokengeom_utils.clouds.kernels.cpu.gride
    import tokengeom_utils.clouds.kernels.cpu.pairs  # noqa: F401  (imported once, before the children fork)
    from tokengeom_utils.models.load import load_model
    from tokengeom_utils.surveys.doctor import examine
    from tokengeom_utils.surveys.store import count, exists

    torch.set_num_threads(1)  # no thread may run before a fork
    model = load_model(save_model(folder / "model"))
    whole, out = folder / "whole.zarr", folder / "survey.zarr"
    end(in_a_child(lambda: run(model, folder / "warm-up.zarr")))

    def slowly(store):
        """Run the survey with pauses, so that a look at the store is short beside it on a busy machine too."""
        run(model, store, progress=lambda *_: time.sleep(0.05))

    def wait_for_prompts(store, n):
        """Wait until a store holds more than ``n`` prompts; return the seconds it took."""
        started = time.perf_counter()
        while count(store) <= n:
            assert time.perf_counter() - started < 600
            time.sleep(0.001)
        return time.perf_counter() - started

    child = in_a_child(partial(slowly, whole))
    starting = wait_for_prompts(whole, 0)
    measuring = wait_for_prompts(whole, PROMPTS - 1)
    end(child)
    generator, left = random.Random(1), []
    for attempt in range(kills):
        if left and left[-1]["is_complete"]:
            out = out.with_stem(f"{out.stem}-again")
        child = in_a_child(partial(slowly, out))
        if attempt % 2:  # while it starts
            time.sleep(generator.uniform(0, starting))
        else:  # while it measures
            wait_for_prompts(out, left[-1]["done"] % PROMPTS if left else 0)
            time.sleep(generator.uniform(0, 0.5 * measuring))
        os.kill(child, signal.SIGKILL)
        killed = end(child)
        report = examine(out)[0] if exists(out) else None
        done = report.n_prompts - len(report.missing) if report else 0
        left.append(
            {
                "store": out.name,
                "done": done,
                "killed": killed,
                "is_sound": not report or report.is_sound,
                "is_complete": done == PROMPTS and not (out / "run" / "journal").exists(),
                "is_whole": done == PROMPTS and files(out) == files(whole),
            }
        )
    end(in_a_child(lambda: run(model, out)))
    print(json.dumps({"left": left, "last": str(out), "whole": str(whole)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
