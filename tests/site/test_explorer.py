"""The explorer's data: pictures that keep what they promise, and files that hold what the package measures."""

import base64
import dataclasses
import json
import re
from itertools import pairwise

import numpy as np
import pytest
import tiny_survey
import torch

import tokengeom_utils as tg
from tokengeom_utils.prompts.shuffle import prompt_seed
from tokengeom_utils.site.explorer.choice import FEWEST, MOST, SHUFFLED, chosen_clouds
from tokengeom_utils.site.explorer.clouds import K_LOCAL, LOCAL_STEP, LOSS_STEP, NONE, RIM, CloudFile, K
from tokengeom_utils.site.explorer.folder import Folder
from tokengeom_utils.site.explorer.index import index_script
from tokengeom_utils.site.explorer.projection import neighbors_kept, project
from tokengeom_utils.surveys.complete import complete
from tokengeom_utils.surveys.plan import LazyModel, Plan
from tokengeom_utils.surveys.request import make_request

REQUEST = {**tiny_survey.REQUEST, "seed": 42}


def cloud(n=120, d=12, seed=0):
    """Random tokens, more spread out in some directions than in others."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double() * torch.logspace(0, -1, d)


def rotation(d, seed=1):
    return torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(seed)).double())[0]


# --- pictures ---


def test_a_picture_shows_the_three_directions_of_largest_variance():
    x = cloud()
    seen = project(x)
    values = torch.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0))).flip(0)
    assert seen.share == pytest.approx((values[:3].sum() / values.sum()).item())
    spread = (seen.points**2).sum(0)
    np.testing.assert_allclose(spread / spread.sum(), values[:3] / values[:3].sum(), atol=1e-6)
    np.testing.assert_allclose(seen.points.mean(0), 0, atol=1e-12)
    assert np.mean(np.sum(seen.points**2, 1)) == pytest.approx(1)
    assert np.mean(seen.distance**2) == pytest.approx(1) and not seen.is_far.any()


@pytest.mark.parametrize("change", [lambda x: 1e4 * x, lambda x: x + 300, lambda x: x @ rotation(12)])
def test_size_place_and_axes_of_a_layer_do_not_change_its_picture(change):
    seen, again = project(cloud()), project(change(cloud()), project(cloud()))
    np.testing.assert_allclose(again.points, seen.points, atol=1e-6)
    assert again.share == pytest.approx(seen.share)


def test_a_massive_token_does_not_take_the_picture_for_itself():
    x = cloud()
    x[7] = 1e3 * torch.ones(12)
    seen, rest = project(x), project(torch.cat([x[:7], x[8:]]))
    assert seen.is_far.nonzero()[0].tolist() == [7] and seen.distance[7] > 500
    np.testing.assert_allclose(np.delete(seen.points, 7, 0), rest.points, atol=1e-9)


def test_a_wide_cloud_of_few_tokens_has_the_same_picture():
    """More features than tokens: the other of two equal ways to the directions."""
    x = cloud(n=20, d=12)
    wide = torch.nn.functional.pad(x, (0, 50))
    np.testing.assert_allclose(project(wide, project(x)).points, project(x).points, atol=1e-8)


FLAT = {"point": torch.zeros(9, 5), "line": torch.arange(8.0)[:, None], "plane": torch.eye(6)[:, :2]}


@pytest.mark.parametrize("x", FLAT.values(), ids=FLAT)
def test_clouds_with_fewer_than_three_directions(x):
    seen = project(x, project(x))
    assert np.isfinite(seen.points).all() and seen.points.shape == (len(x), 3)


def test_neighbors_kept_is_one_for_a_flat_cloud_and_chance_for_a_random_picture():
    flat = torch.nn.functional.pad(cloud(400, 3), (0, 5))
    table = tg.nearest_neighbors(flat, 8)
    assert neighbors_kept(project(flat).points, flat, table) == 1
    assert neighbors_kept(np.random.default_rng(0).normal(size=(400, 3)), flat, table) < 3 * 8 / 399


def test_copies_of_a_token_do_not_count_as_neighbors_kept():
    """A random picture of copies would otherwise keep them all: they are one point in any picture."""
    few = cloud(40, 8)
    copies = few.repeat(10, 1)
    random = torch.randn(40, 3, generator=torch.Generator().manual_seed(5)).repeat(10, 1)
    assert neighbors_kept(random.numpy(), copies, tg.nearest_neighbors(copies, 8)) < 0.35
    two = few[:2].repeat(10, 1)
    assert np.isnan(neighbors_kept(project(two).points, two, tg.nearest_neighbors(two, 8)))


# --- choice ---


def test_one_prompt_of_each_kind_and_some_at_every_degree():
    kinds = [f"kind {i % 20}" for i in range(60)]
    chosen = chosen_clouds(kinds, [[0, 1, 2] if i in (1, 4, 5, 6) else [0] for i in range(60)])
    assert [place for place, degree in chosen if degree == 0] == list(range(MOST))
    assert [cloud for cloud in chosen if cloud[1]] == [(i, degree) for i in (1, 4, 5) for degree in (1, 2)]
    assert SHUFFLED == 3


def test_few_kinds_are_filled_up():
    assert chosen_clouds(["a"] * 9, [[0]] * 9) == [(i, 0) for i in range(FEWEST)]
    assert chosen_clouds(["a", "b"], [[0], [0]]) == [(0, 0), (1, 0)]


# --- files ---


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    model = LazyModel(tiny_survey.save_model(tmp_path_factory.mktemp("model")))
    prompts = [dataclasses.replace(prompt, domain=f"kind {i}") for i, prompt in enumerate(tiny_survey.prompts(4))]
    return Plan(model, prompts, make_request(model.name, prompts, (0, 1, 3), **{**REQUEST, "n_shuffled": 2}))


@pytest.fixture(scope="module")
def written(plan, tmp_path_factory):
    """A survey whose passes write the explorer's files, and their folder."""
    path, out = tmp_path_factory.mktemp("explorer") / "new", tmp_path_factory.mktemp("survey") / "x.zarr"
    return Folder(path, plan), complete(plan._replace(watch=Folder(path, plan).watch), out)


def data(text, name):
    """What a script hands to a function, as a page receives it."""
    (found,) = re.findall(rf"^tokengeom{name}\((.*)\);$", text, re.MULTILINE)
    return json.loads(found if name == "Index" else found.split(", ", 1)[1])


def unpacked(text, kind, *shape):
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


def test_the_survey_writes_all_files_and_measures_what_it_does_without(written, plan, tmp_path):
    folder, results = written
    assert folder.missing() == [] and len(list(folder.path.iterdir())) == len(folder.chosen) == 8
    assert results.drop_vars("run").equals(complete(plan, tmp_path / "y.zarr").drop_vars("run"))


def test_a_pass_of_its_own_writes_the_same_files(written, plan, tmp_path):
    alone = Folder(tmp_path / "alone", plan)
    assert list(alone.write_missing()) == list(range(9))
    for file in written[0].path.iterdir():
        assert (alone.path / file.name).read_bytes() == file.read_bytes()


def test_only_what_is_missing_is_written_again(written, plan, tmp_path):
    folder = Folder(tmp_path, plan)
    list(folder.write_missing())
    (tmp_path / "0-1.js").unlink()
    (tmp_path / "2-0.js").write_text("// damaged")
    (tmp_path / "9-0.js").write_text("// of another survey")
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert folder.missing() == [(0, 1), (2, 0)]
    folder.remove_leftovers()
    list(folder.write_missing())
    changed = {file.name for file in tmp_path.iterdir() if file.stat().st_mtime_ns != before.get(file.name)}
    assert changed == {"0-1.js", "2-0.js"} and not (tmp_path / "9-0.js").exists() and folder.missing() == []


@pytest.mark.parametrize("change", ["text", "seed", "length"])
def test_files_of_another_survey_are_not_taken_over(written, plan, change):
    folder, _ = written
    other = {
        "text": lambda: plan._replace(prompts=[dataclasses.replace(p, text=p.text[::-1]) for p in plan.prompts]),
        "seed": lambda: plan._replace(request={**plan.request, "seed": 1}),
        "length": lambda: plan._replace(request={**plan.request, "n_tokens": 16}),
    }[change]()
    assert Folder(folder.path, other).missing() == folder.chosen


def test_a_failed_pass_leaves_no_file(plan, tmp_path):
    prompts = [*plan.prompts[:1], dataclasses.replace(plan.prompts[1], text="too short")]
    request = make_request(plan.model.name, prompts, (0,), **{**REQUEST, "n_shuffled": 0})
    with pytest.raises(tg.InputError):
        list(Folder(tmp_path, plan._replace(prompts=prompts, request=request)).write_missing())
    assert [file.name for file in tmp_path.iterdir()] == ["0-0.js"]


@pytest.fixture(scope="module")
def one(written, plan):
    """One cloud as the page receives it, and what it was made of."""
    prompt, degree = plan.prompts[1], 1
    model = plan.load()
    ids = model.tokenize(prompt.text, plan.request["n_tokens"])
    ids = tg.shuffle_blocks(ids, degree, prompt_seed(plan.request["seed"], prompt.id, degree))
    return data((written[0].path / "1-1.js").read_text("utf-8"), "Cloud"), tg.token_clouds(model, ids), ids, model


def test_a_file_holds_the_tokens_and_their_losses(one, plan):
    found, clouds, ids, model = one
    assert found["text"] == [model.tokenizer.decode([i]) for i in ids]
    assert found["times"] == [int((ids == i).sum()) for i in ids]
    ordered = model.tokenize(plan.prompts[1].text, len(ids))
    assert (ordered[found["origin"]] == ids).all() and sorted(found["origin"]) == list(range(len(ids)))
    losses = unpacked(found["loss"], "<u2", -1)
    assert losses[0] == NONE
    np.testing.assert_allclose(losses[1:] * LOSS_STEP, clouds.loss, atol=LOSS_STEP / 2 + 1e-6)


def test_a_file_holds_neighbors_and_local_dimensions_of_the_cloud(one, written):
    found, clouds, ids, _ = one
    n, layers = len(ids), len(clouds.hidden)
    table = tg.nearest_neighbors(clouds.hidden, K_LOCAL)
    near = unpacked(found["near"], "<u2", layers, n, K)
    assert (near == table.indices[..., :K].numpy()).all()
    local = unpacked(found["local"], "<u2", layers, n).astype(float)
    wanted = tg.local_dimension(table.distances, K_LOCAL).dimension.numpy()
    assert ((local == NONE) == ~np.isfinite(wanted)).all()
    shown = np.isfinite(wanted) & (wanted < LOCAL_STEP * (NONE - 2))
    np.testing.assert_allclose(local[shown] * LOCAL_STEP, wanted[shown], atol=LOCAL_STEP / 2 + 1e-9)
    # What the page makes of the neighbors is the overlap that the survey stores.
    overlap = written[1].neighborhood_overlap.isel(prompt=1).sel(shuffle=1)
    for k in (1, 2, 4, 8):
        seen = [np.mean([len({*a[:k]} & {*b[:k]}) / k for a, b in zip(*pair, strict=True)]) for pair in pairwise(near)]
        np.testing.assert_allclose(seen, overlap.sel(k=k)[:-1], atol=1e-12)


def test_a_file_holds_the_picture_of_every_layer(one):
    found, clouds, ids, _ = one
    points = unpacked(found["points"], "<i2", len(clouds.hidden), len(ids), 3) * RIM / 32767
    before = None
    for layer, hidden in enumerate(clouds.hidden):
        before = project(hidden, before)
        radius = np.linalg.norm(before.points, axis=1)
        inside = radius <= RIM
        np.testing.assert_allclose(points[layer][inside], before.points[inside], atol=RIM / 32767)
        np.testing.assert_allclose(np.linalg.norm(points[layer][~inside], axis=1), RIM, atol=1e-3)
        assert {int(i) for i in found["rim"][layer]} == {*np.flatnonzero(~inside).tolist()}
        assert found["left"][layer] == np.flatnonzero(before.is_far).tolist()
        assert found["share"][layer] == pytest.approx(before.share, abs=1e-4)
    assert all(0 <= kept <= 1 for kept in found["kept"])


def test_the_weight_of_a_file(one):
    """A prompt of 1,024 tokens and 31 clouds takes about a megabyte."""
    found, clouds, ids, _ = one
    arrays = sum(len(found[name]) for name in ("points", "local", "near", "loss"))
    assert arrays <= 33 * len(ids) * len(clouds.hidden) + 4 * len(ids)


def test_numbers_without_a_value_are_marked():
    """Equal tokens have no local dimension, equally distant ones an infinite one."""
    file = CloudFile()
    file.update(torch.cat([torch.eye(40), torch.eye(40)[:2]]))
    model = tg.tiny_model()
    found = data(file.script("0-0", model, range(42), torch.ones(41), range(42)), "Cloud")
    local = unpacked(found["local"], "<u2", 42)
    assert (local[[0, 1, 40, 41]] == NONE).all()


# --- the index ---


def test_the_index_has_the_curves_of_the_survey_and_of_the_paper(written, plan):
    folder, results = written
    index = data(index_script(results, plan.prompts, folder.chosen), "Index")
    assert [prompt["degrees"] for prompt in index["prompts"]] == [[0, 1, 3], [0, 1, 3], [0], [0]]
    assert index["layers"] == results.sizes["layer"] and index["degrees"] == [0, 1, 3]
    dimension = results.intrinsic_dimension.sel(scale=2)
    curves = index["curves"]["intrinsic_dimension"]
    assert len(curves["own"]) == 8
    np.testing.assert_allclose(curves["own"]["1-3"], dimension.isel(prompt=1).sel(shuffle=3), rtol=1e-4)
    np.testing.assert_allclose(curves["survey"]["0"]["mean"], dimension.sel(shuffle=0).mean("prompt"), rtol=1e-4)
    assert index["curves"]["neighborhood_overlap"]["own"]["0-0"][-1] is None
    paper = tg.open_paper("profiles").query(
        "observable == 'cosine_similarity' and shuffle == 3 and model == 'Pythia-6.9B'"
    )
    shown = index["curves"]["cosine_similarity"]["paper"]["3"]["Pythia-6.9B"]
    np.testing.assert_allclose(shown["mean"], paper["mean"], rtol=1e-4)
    np.testing.assert_allclose(shown["layer"], paper.depth * 2, rtol=1e-4)


def test_texts_that_are_not_at_hand_are_left_out(written, plan):
    folder, results = written
    strangers = [dataclasses.replace(prompt, id=f"other {prompt.id}") for prompt in plan.prompts]
    assert data(index_script(results, strangers, folder.chosen), "Index")["prompts"] == []
