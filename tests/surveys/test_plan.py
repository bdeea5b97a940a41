"""Plans of surveys: models that are loaded late, and the parts that are sent to workers."""

import pickle

import numpy as np
import pytest
import tiny_survey

import tokengeom_utils as tg
from tokengeom_utils.surveys.plan import LazyModel, Plan, as_plan_model
from tokengeom_utils.surveys.request import make_request


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_survey.save_model(tmp_path_factory.mktemp("model"))


def plan(model, **options):
    prompts = tiny_survey.prompts()
    request = make_request("tiny", prompts, tiny_survey.DEGREES, seed=42, **tiny_survey.REQUEST)
    return Plan(model, prompts, request, **options)


def test_a_lazy_model_is_loaded_and_announced_when_it_is_needed(folder):
    lines = []
    lazy = LazyModel(folder, dtype="float64", say=lines.append)
    assert lazy.name == str(folder) and not lines
    assert lazy.load().network.dtype.itemsize == 8 and lines == [f"loading {folder} ..."]


def test_what_is_known_before_loading_is_what_is_found_after(folder):
    model = tg.load_model(folder)
    lazy = plan(LazyModel(folder, dtype="float32"), batch=3)
    assert lazy.known_provenance() == plan(model, batch=3).known_provenance()
    assert lazy.load().fingerprint == model.fingerprint and plan(model).load() is model
    assert plan(LazyModel(folder)).known_provenance()["batch"] is None


def test_names_and_models_make_a_plan(folder):
    assert as_plan_model(folder) == LazyModel(folder) and as_plan_model("lab/model").name == "lab/model"
    model = tg.load_model(folder)
    assert as_plan_model(model) is model
    with pytest.raises(tg.InputError, match="needs a model or the name of one, not NoneType"):
        as_plan_model(None)


def test_degrees_of_what_is_not_done():
    done = np.arange(tiny_survey.PROMPTS) < 3
    assert plan(LazyModel("tiny")).degrees(done) == {3: (0, 1, 2), 4: (0,), 5: (0,), 6: (0,), 7: (0,)}
    assert not plan(LazyModel("tiny")).degrees(np.ones(tiny_survey.PROMPTS, bool))


def test_a_part_for_a_worker_names_its_model_in_any_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for model in (LazyModel(folder.name, "cpu", "float32", "tiny", say=lambda text: None), tg.load_model(folder)):
        part = pickle.loads(pickle.dumps(plan(model, profile="quick").part([2, 5])))
        assert part.model.source == str(folder.resolve()) and part.model.say is None
        assert [prompt.id for prompt in part.prompts] == ["text-2", "text-5"] and part.profile == "quick"
        assert "prompts" not in part.request and part.request["n_tokens"] == 64
        assert hash(part.model) == hash(plan(model).part([0]).model)  # loaded once
    assert plan(LazyModel(folder, "cpu", "float32", "tiny")).part([0]).model == LazyModel(
        str(folder.resolve()), "cpu", "float32", "tiny"
    )
