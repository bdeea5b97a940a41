"""A survey of a tiny model that takes a second: for the tests that stop one, here and in other processes.

As a program it runs, or kills, such surveys:  tiny_survey.py FOLDER KILLS
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

PROMPTS, DEGREES, REQUEST = 8, (0, 1, 2), {"n_shuffled": 4, "n_tokens": 64, "scale_max": 16, "k_max": 8}
ALPHABET = "abcdefghijklmnopqrstuvwxyz .,;"


def save_model(folder):
    """A Llama of two layers with random weights, and a tokenizer of characters, as files; returns the folder."""
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    config = hf.LlamaConfig(vocab_size=len(ALPHABET), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)
    network = hf.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # larger weights than at initialization: layers that differ
        for weight in network.parameters():
            weight.mul_(3)
    network.save_pretrained(folder)
    vocabulary = {letter: i for i, letter in enumerate(ALPHABET)}
    letters = Tokenizer(models.WordLevel(vocabulary, unk_token="."))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    hf.PreTrainedTokenizerFast(tokenizer_object=letters, unk_token=".").save_pretrained(folder)
    return folder


def prompts(n=PROMPTS):
    from tokengeom_utils import Prompt

    generator = random.Random(0)
    return [Prompt(f"text-{i}", "letters", "".join(generator.choices(ALPHABET[:26], k=100))) for i in range(n)]


def run(model, out, **options):
    import tokengeom_utils as tg

    return tg.survey(model, prompts(), DEGREES, out, **{**REQUEST, "model_name": "tiny", **options})


def files(store):
    """Every file of a store with its bytes."""
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


def in_a_child(what):
    """Start ``what`` in a process of its own, which ends with 0 if all went well."""
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
    """Wait for a child; whether it was killed. Any other way than that or success is an error."""
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WIFSIGNALED(status), status
    return status != 0


def main(folder, kills):
    """Kill surveys at random moments, each time letting the next go on; reports what was left each time."""
    import torch
    import tokengeom_utils.clouds.kernels.cpu.gride
    import tokengeom_utils.clouds.kernels.cpu.pairs  # noqa: F401  (what the children would import one after the other)
    import xarray  # noqa: F401
    import zarr  # noqa: F401
    from tokengeom_utils.surveys.doctor import examine
    from tokengeom_utils.models.load import load_model
    from tokengeom_utils.surveys.store import exists

    torch.set_num_threads(1)  # the children are forks: no thread may run before them
    model = load_model(save_model(folder / "model"))
    whole, out = folder / "whole.zarr", folder / "survey.zarr"
    end(in_a_child(lambda: run(model, folder / "warm-up.zarr")))
    started = time.perf_counter()
    end(in_a_child(lambda: run(model, whole)))
    seconds = time.perf_counter() - started
    generator, left = random.Random(1), []
    for _ in range(kills):
        if left and left[-1]["done"] == PROMPTS:
            out = out.with_stem(f"{out.stem}-again")
        child = in_a_child(lambda: run(model, out))
        time.sleep(generator.uniform(0, 0.6 * seconds))
        os.kill(child, signal.SIGKILL)
        killed = end(child)
        report = examine(out)[0] if exists(out) else None
        done = report.n_prompts - len(report.missing) if report else 0
        seconds *= 1 if done else 1.2  # a machine that has become slower
        left.append({"store": out.name, "done": done, "killed": killed, "is_sound": not report or report.is_sound,
                     "is_whole": done == PROMPTS and files(out) == files(whole)})
    end(in_a_child(lambda: run(model, out)))
    print(json.dumps({"left": left, "last": str(out), "whole": str(whole)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
