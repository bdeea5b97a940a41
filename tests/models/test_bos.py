"""A token in front of the prompt: seen by all tokens, in no cloud and no loss, recorded, and missed where usual."""

import warnings

import numpy as np
import pytest
import tiny_survey
import torch
from tokenizers.processors import TemplateProcessing

import tokengeom_utils as tg
from tokengeom_utils.models.advice import loss_with_and_without
from tokengeom_utils.models.bos import usual_prefix
from tokengeom_utils.surveys.plan import LazyModel

TEXT = "Tokens move through the layers of a model. " * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose tokenizer puts a token in front of a text."""
    return save(tmp_path_factory.mktemp("with") / "model", adds=True)


def save(folder, adds):
    model = tg.tiny_model()
    tokenizer = model.tokenizer
    tokenizer.add_special_tokens({"bos_token": tokenizer.convert_ids_to_tokens(7)})
    if adds:
        name = tokenizer.bos_token
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{name} $A", special_tokens=[(name, tokenizer.bos_token_id)]
        )
    model.network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plain_clouds(model, ids):
    with torch.inference_mode():
        return model.network(torch.tensor(ids)[None], output_hidden_states=True)


def test_it_is_seen_but_belongs_to_no_cloud_and_no_loss(folder):
    model = tg.load_model(folder, device="cpu", bos="auto")
    ids = model.tokenize(TEXT)
    assert len(model.prefix) == 1 and model.prefix[0] == usual_prefix(model.tokenizer)[0]
    clouds = tg.token_clouds(model, ids)
    own = plain_clouds(model, [*model.prefix, *ids])
    torch.testing.assert_close(clouds.hidden, torch.cat(own.hidden_states)[:, 1:])
    surprise = -own.logits[0, 1:-1].log_softmax(-1).gather(1, torch.tensor(ids)[1:, None])[:, 0]
    torch.testing.assert_close(clouds.loss, surprise)
    assert clouds.before_norm.shape == (len(ids), 32)


def test_never_is_the_rule(folder):
    model = tg.load_model(folder, device="cpu")
    assert model.bos == "never" and model.prefix == ()
    ids = model.tokenize(TEXT)
    torch.testing.assert_close(tg.token_clouds(model, ids).hidden, torch.cat(plain_clouds(model, ids).hidden_states))


def test_auto_follows_the_tokenizer_and_always_does_not(tmp_path):
    path = save(tmp_path / "model", adds=False)
    assert tg.load_model(path, bos="auto").prefix == ()
    assert len(tg.load_model(path, bos="always").prefix) == 1
    assert tg.tiny_model().with_bos("auto").prefix == ()
    with pytest.raises(tg.InputError, match="no beginning-of-sequence token: use bos = never or auto"):
        tg.tiny_model().with_bos("always")
    with pytest.raises(tg.InputError, match="bos = 'sometimes' is not a rule .* use never, auto, always"):
        tg.load_model(path, bos="sometimes")


def test_the_other_passes_leave_it_out_too(folder):
    model = tg.load_model(folder, device="cpu", bos="auto")
    ids = model.tokenize(TEXT)
    clouds, (ends, halfway) = tg.token_clouds(model, ids), tg.halve_layers(model, ids)
    torch.testing.assert_close(ends[:-1], clouds.hidden[:-1])
    torch.testing.assert_close(ends[-1], clouds.before_norm)
    assert halfway.shape == ends[1:].shape
    torch.testing.assert_close(tg.switched_clouds(model, ids[None])[0], clouds.hidden)


def test_a_prompt_of_all_positions_has_no_room_for_it(folder):
    model = tg.load_model(folder, device="cpu")
    limit = model.network.config.max_position_embeddings
    ids = np.arange(limit) % 97
    tg.token_clouds(model, ids)
    with pytest.raises(tg.InputError, match=f"{limit} tokens, and 1 in front of them, but .* positions for {limit}"):
        tg.token_clouds(model.with_bos("auto"), ids)


def test_a_survey_records_it_and_refuses_another_rule(folder, tmp_path):
    model = LazyModel(folder, "cpu", bos="auto")
    results = tiny_survey.run(model, tmp_path / "survey.zarr")
    assert results.attrs["bos"] == "auto"
    with pytest.raises(tg.InputError, match="its bos is auto, not never"):
        tiny_survey.run(LazyModel(folder, "cpu"), tmp_path / "survey.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny_survey.run(model, tmp_path / "survey.zarr")


def test_a_survey_without_it_says_what_it_would_change(folder, tmp_path):
    model = tg.load_model(folder, device="cpu")
    with pytest.warns(
        UserWarning, match=r"would put .* in front of a text.*the mean loss of prompt .* nats.*--bos auto"
    ):
        tiny_survey.run(model, tmp_path / "survey.zarr")
    behind, without = loss_with_and_without(model, model.tokenize(TEXT))
    assert behind != without
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny_survey.run(tg.tiny_model(), tmp_path / "other.zarr")  # its tokenizer adds none
