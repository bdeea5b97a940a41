"""What works beside the measurements: jobs prepared ahead of them, prompts written behind them."""

import signal
import threading
import time
from itertools import count as from_zero

import numpy as np
import pytest
import tiny_survey
import torch

import tokengeom_utils as tg
from tokengeom_utils.surveys import batch as batches
from tokengeom_utils.surveys import complete, store
from tokengeom_utils.surveys import jobs as preparing
from tokengeom_utils.surveys.ahead import ahead
from tokengeom_utils.surveys.behind import WriteBehind
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.jobs import jobs, tokenize, tokenize_few
from tokengeom_utils.surveys.request import make_request


def others():
    """The threads of this module's subjects that are alive."""
    return {thread.name for thread in threading.enumerate()} & {"ahead", "write behind"}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not others()


# Ahead


def test_at_most_so_many_items_are_made_before_they_are_needed():
    made = []
    with ahead((made.append(number) or number for number in from_zero()), most=3) as numbers:
        for wanted in range(5):
            assert next(numbers) == wanted
            time.sleep(0.02)
            assert len(made) <= wanted + 1 + 3 + 1  # taken, waiting, and one in the making
        assert len(made) > 5


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield from (1, 2)
        raise tg.InputError("the third is wrong")

    taken = []
    with pytest.raises(tg.InputError, match="the third is wrong"), ahead(items(), most=8) as numbers:
        for number in numbers:
            taken.append(number)
    assert taken == [1, 2]


def test_the_thread_ends_with_a_block_that_is_left_early():
    with pytest.raises(KeyboardInterrupt), ahead(from_zero(), most=2) as numbers:
        assert next(numbers) == 0
        raise KeyboardInterrupt
    assert not others()


# Jobs


def test_every_prompt_is_tokenized_once(tiny, tmp_path, monkeypatch):
    texts, encode = [], type(tiny).encode
    monkeypatch.setattr(type(tiny), "encode", lambda self, some, **options: texts.extend(some) or encode(self, some))
    tiny_survey.run(tiny, tmp_path / "survey.zarr")
    prompts = tiny_survey.prompts()
    assert sorted(texts) == sorted([p.text for p in prompts] + [prompts[0].text])  # the first once more, for the advice


def test_beyond_what_is_kept_prompts_are_tokenized_again_to_the_same_survey(tiny, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "KEPT", 3 * 64)
    monkeypatch.setattr(preparing, "TEXTS", 2)
    known = tokenize_few(tiny, tiny_survey.prompts(), range(8), 64)
    assert 0 < len(known) < 8
    tiny_survey.run(tiny, tmp_path / "survey.zarr")
    assert tiny_survey.files(tmp_path / "survey.zarr") == tiny_survey.files(whole)


def test_jobs_hold_the_tokens_that_measure_takes(tiny):
    prompts = tiny_survey.prompts(3)
    request = make_request("tiny", prompts, (0, 2), n_tokens=64, seed=42, scale_max=16, k_max=8)
    made = list(jobs(tiny, prompts, {2: (0, 2), 0: (0,)}, request, {}))
    assert [(job.place, job.degree) for job in made] == [(2, 0), (2, 2), (0, 0)]
    ids = tiny.tokenize(prompts[2].text, 64)
    np.testing.assert_array_equal(made[0].token_ids, ids)
    np.testing.assert_array_equal(made[1].token_ids, tg.shuffle_blocks(ids, 2, tg.prompt_seed(42, prompts[2].id, 2)))
    assert made[0].bleu == 1 > made[1].bleu == pytest.approx(tg.measure(tiny, prompts[2], 2, 64, 42, 16, 8).bleu.item())


def test_the_first_prompt_that_is_too_short_is_named(tiny):
    prompts = [*tiny_survey.prompts(100), tg.Prompt("short", "letters", "abc"), tg.Prompt("shorter", "letters", "a")]
    with pytest.raises(tg.InputError, match="prompt short has 3 tokens"):
        tokenize(tiny, prompts, 64)


# Behind


def test_writing_keeps_the_order_and_the_bound():
    """A slow writer: what was handed over and is not written never exceeds the bound and the one in progress."""
    written, most = [], 3

    def write(number):
        time.sleep(0.01)
        written.append(number)

    with WriteBehind(write, most) as writer:
        for number in range(20):
            writer.put(number)
            assert number + 1 - len(written) <= most + 1
    assert written == list(range(20))


def test_an_error_of_the_writer_reaches_the_caller_and_nothing_follows_it():
    calls = []

    def write(number):
        calls.append(number)
        if number == 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), WriteBehind(write, most=2) as writer:
        for number in range(100):
            writer.put(number)
            time.sleep(0.005)
    assert calls == [0, 1, 2] and number < 99
    with pytest.raises(OSError, match="No space"), WriteBehind(write, most=2) as writer:
        writer.put(2)  # the last one


def test_what_was_handed_over_is_written_before_an_interrupt_goes_on():
    written = []

    def write(number):
        time.sleep(0.01)
        written.append(number)

    with pytest.raises(KeyboardInterrupt), WriteBehind(write, most=10) as writer:
        for number in range(10):
            writer.put(number)
        raise KeyboardInterrupt
    assert written == list(range(10))


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to a thread")
def test_a_second_interrupt_waits_for_the_write_in_progress_alone():
    begun, written, main = threading.Event(), [], threading.get_ident()

    def write(number):
        begun.set()
        time.sleep(0.3)
        written.append(number)

    def interrupt():
        begun.wait()
        time.sleep(0.1)
        signal.pthread_kill(main, signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt), WriteBehind(write, most=10) as writer:
        for number in range(10):
            writer.put(number)
    helper.join()
    assert written == [0]


# Surveys


@pytest.mark.parametrize("batch", [1, 3])
def test_a_prompt_interrupted_between_measuring_and_writing_is_complete(tiny, whole, tmp_path, monkeypatch, batch):
    """The writer is slow, and the interrupt comes as soon as four prompts are measured: all four are on the disk."""
    out, write = tmp_path / "survey.zarr", store.Store.write

    def slowly(self, *arguments):
        time.sleep(0.1)
        write(self, *arguments)

    def interrupt(done, total, seconds):
        if done >= 12:  # four prompts, three degrees each
            raise KeyboardInterrupt

    monkeypatch.setattr(store.Store, "write", slowly)
    with pytest.raises(KeyboardInterrupt):
        tiny_survey.run(tiny, out, batch=batch, progress=interrupt)
    report = examine(out)[0]
    assert report.is_sound and report.missing == tuple(f"text-{i}" for i in range(4, 8))
    if batch == 1:
        tiny_survey.run(tiny, out)
        assert tiny_survey.files(out) == tiny_survey.files(whole)


def test_a_writer_that_fails_stops_the_survey_within_its_lag(tiny, whole, tmp_path, monkeypatch):
    out, write, steps = tmp_path / "survey.zarr", store.Store.write, []

    def fail(self, i, *arguments):
        if i == 2:
            raise OSError(5, "Input/output error", str(out))
        write(self, i, *arguments)

    monkeypatch.setattr(store.Store, "write", fail)
    monkeypatch.setattr(complete, "WriteBehind", lambda write, most: WriteBehind(write, most=1))
    with pytest.raises(OSError, match="Input/output error"):
        tiny_survey.run(tiny, out, progress=lambda done, *_: steps.append(done))
    assert steps[-1] < 16  # the prompts after the third and the two that may wait are not measured
    assert examine(out)[0].is_sound and store.count(out) == 2
    monkeypatch.setattr(store.Store, "write", write)
    tiny_survey.run(tiny, out)
    assert tiny_survey.files(out) == tiny_survey.files(whole)


def test_the_writer_falls_behind_by_no_more_than_its_lag(tiny, tmp_path, monkeypatch):
    write, ahead_of_it, written = store.Store.write, [], []

    def slowly(self, i, *arguments):
        time.sleep(0.02)
        write(self, i, *arguments)
        written.append(i)

    monkeypatch.setattr(store.Store, "write", slowly)
    prompts = tiny_survey.prompts(2 * complete.LAG + 8)
    tg.survey(
        tiny,
        prompts,
        (0,),
        tmp_path / "survey.zarr",
        n_tokens=64,
        scale_max=16,
        k_max=8,
        progress=lambda done, *_: ahead_of_it.append(done - len(written)),
    )
    assert max(ahead_of_it) <= complete.LAG + 1 and written == list(range(len(prompts)))


def test_passes_are_filled_across_prompts(tiny, tmp_path):
    """16 measurements in passes of five: only the last is filled up with copies."""
    sizes = []
    hook = tiny.network.get_input_embeddings().register_forward_hook(lambda module, ids, out: sizes.append(len(out)))
    try:
        tiny_survey.run(tiny, tmp_path / "survey.zarr", batch=5)
    finally:
        hook.remove()
    assert [size for size in sizes if size == 5] == 4 * [5]


# Batch


def test_the_largest_batch_that_fits_is_halved_until_it_does(tiny, monkeypatch):
    tried, measure = [], batches.measure_arrays
    request = {"scale_max": 16, "k_max": 8}

    def until(most):
        def measure_few(model, ids, *sizes):
            tried.append(len(ids))
            if len(ids) > most:
                raise torch.OutOfMemoryError("of 80 GiB")
            return measure(model, ids, *sizes)

        monkeypatch.setattr(batches, "measure_arrays", measure_few)

    ids = tiny.tokenize(tiny_survey.prompts(1)[0].text, 64)
    until(5)
    assert batches.fitting_batch(tiny, ids, request) == 4 and tried == [16, 8, 4]
    assert batches.fitting_batch(tiny, ids, request, wanted=5) == 5
    with pytest.raises(tg.InputError, match="6 measurements in a pass do not fit.*use a smaller batch"):
        batches.fitting_batch(tiny, ids, request, wanted=6)
    until(0)
    with pytest.raises(tg.InputError, match="one measurement does not fit.*use a smaller n_tokens"):
        batches.fitting_batch(tiny, ids, request)


def test_a_prompt_that_cannot_be_measured_does_not_decide_about_the_batch(tiny, monkeypatch):
    def refuse(*_):
        raise tg.InputError("layer 0: NaN or infinity at token 3")

    monkeypatch.setattr(batches, "measure_arrays", refuse)
    assert batches.fitting_batch(tiny, np.arange(20), {"scale_max": 8, "k_max": 4}) == batches.GPU_BATCH
