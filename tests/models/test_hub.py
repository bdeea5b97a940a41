"""Models and prompts from the Hub: a cache with its layout, a server that imitates it, and what is refused."""

import errno
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers as hf
import yaml
from conftest import PROJECT
from hub_server import COMMIT, hub
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE

import tokengeom_utils as tg
from tokengeom_utils.models.hub import NAME, _explain, cached, model_files
from tokengeom_utils.prompts import pile

LLAMA, MISTRAL, PYTHIA = pile.PAPER_TOKENIZERS
N_TOKENS = 48


@pytest.fixture(scope="session")
def texts():
    return [p.text[:900] for p in tg.load_prompts("pocket")]


@pytest.fixture(scope="session")
def repositories(tmp_path_factory, texts):
    """Tiny models of the paper's three architectures, each with its own tokenizer, and a small Pile: {id: folder}."""
    import pandas

    root = tmp_path_factory.mktemp("repositories")
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    kinds = {LLAMA: (hf.LlamaConfig, 300), MISTRAL: (hf.MistralConfig, 400), PYTHIA: (hf.GPTNeoXConfig, 500)}
    found = {}
    for name, (config, vocabulary) in kinds.items():
        folder = root / name
        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(texts[:20], trainer)
        hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
        torch.manual_seed(vocabulary)
        network = hf.AutoModelForCausalLM.from_config(config(vocab_size=vocabulary, **sizes))
        network.save_pretrained(folder, max_shard_size="40KB" if name == MISTRAL else "1GB")
        found[name] = folder
    rows = [
        {"text": f"  {t[: 40 * (i % 6)]}\n", "meta": {"pile_set_name": ["Github", "ArXiv"][i % 2]}}
        for i, t in enumerate(texts)
    ]
    found[f"datasets/{pile.PILE}"] = root / "pile"
    (root / "pile" / "data").mkdir(parents=True)
    pandas.DataFrame(rows).to_parquet(root / "pile" / pile.FILE)
    (root / "pile" / "README.md").write_text("# ten thousand texts\n")
    return found


def lay_out(repositories, home):
    """A folder like $HF_HOME with the repositories in its cache: blobs, refs, and snapshots of links to the blobs."""
    for name, folder in repositories.items():
        kind = "datasets" if name.startswith("datasets/") else "models"
        base = home / "hub" / "--".join([kind, *name.removeprefix("datasets/").split("/")])
        (base / "refs").mkdir(parents=True)
        (base / "refs" / "main").write_text(COMMIT)
        (base / "blobs").mkdir()
        for number, file in enumerate(sorted(f for f in folder.rglob("*") if f.is_file())):
            blob = base / "blobs" / str(number)
            blob.write_bytes(file.read_bytes())
            link = base / "snapshots" / COMMIT / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    return home


def run(code, home, **environment):
    """Run Python code with a Hugging Face home of its own; returns the JSON that it prints."""
    others = ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in others},
        "HF_HOME": str(home),
        "TOKENGEOM_CACHE": str(home / "tokengeom"),
        "NO_PROXY": "*",
        "TQDM_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def refusals(calls, home, **environment):
    """The error of fetch_model or load_prompts for each pair (name, access token)."""
    code = f"""
import json, os, sys
import tokengeom_utils as tg
from tokengeom_utils.models.load import fetch_model
found = []
for name, token in {calls!r}:
    os.environ.pop("HF_TOKEN", None)
    if token:
        os.environ["HF_TOKEN"] = token
    try:
        tg.load_prompts(name) if name == "pile-10k" else fetch_model(name)
    except tg.InputError as error:
        found.append(str(error))
print(json.dumps([found, "torch" in sys.modules]))
"""
    found, torch_loaded = run(code, home, **environment)
    assert len(found) == len(calls) and not any("\n" in line for line in found) and not torch_loaded
    return found


def test_the_papers_setup_works_from_a_cache_without_a_network(repositories, tmp_path, texts):
    """Prompts selected by all three tokenizers; the three models loaded and measured; from a cache like the Hub's."""
    home = lay_out(repositories, tmp_path)
    code = f"""
import json, time, warnings
warnings.simplefilter("error")
import tokengeom_utils as tg
from tokengeom_utils.models.load import load_tokenizer
from tokengeom_utils.models.locate import known_fingerprint
from tokengeom_utils.prompts import lengths
lengths.WORTH_KEEPING = 10
three = [load_tokenizer(name) for name in {pile.PAPER_TOKENIZERS!r}]
said = []
prompts = tg.load_prompts("pile-10k", n_tokens={N_TOKENS}, tokenizers=three, say=said.append)
again = tg.load_prompts("pile-10k", n_tokens={N_TOKENS}, n=3, tokenizers=[load_tokenizer(t.name) for t in three],
                        say=said.append)
found = {{"prompts": [[p.id, p.domain, p.text] for p in prompts], "said": said, "again": [p.id for p in again]}}
for name in {pile.PAPER_TOKENIZERS!r}:
    model = tg.load_model(name)
    assert known_fingerprint(name) == model.fingerprint
    row = tg.measure(model, prompts[0], n_tokens={N_TOKENS}, scale_max=8, k_max=4)
    found[name] = [type(model.network).__name__, model.fingerprint, row.loss.item(), row.sizes["layer"],
                   [len(model.tokenize(p.text)) for p in prompts]]
assert known_fingerprint("org/not-here") is None and known_fingerprint("untrained:{LLAMA}") is None
found["twin"] = tg.load_model("untrained:{LLAMA}").fingerprint
print(json.dumps(found))
"""
    found = run(code, home, HF_HUB_OFFLINE="1")
    kept = {}
    for i, text in enumerate(texts):
        text = text[: 40 * (i % 6)].strip()
        lengths = [len(tg.load_tokenizer(repositories[name]).tokenize(text)) for name in pile.PAPER_TOKENIZERS]
        if min(lengths) >= N_TOKENS:
            kept[f"pile-{i:05d}"] = (["Github", "ArXiv"][i % 2], text)
    assert len(texts) / 5 < len(kept) < 0.8 * len(texts)
    assert {p[0]: (p[1], p[2]) for p in found["prompts"]} == kept
    assert list(kept) != [p[0] for p in found["prompts"]]  # not in the order of the rows
    assert found["again"] == [p[0] for p in found["prompts"]][:3]
    counted = [line for line in found["said"] if line.startswith("counting the tokens of ")]
    assert counted[0].startswith("counting the tokens of 300 texts under meta-llama/Meta-Llama-3-8B")
    assert len(counted) == 3  # the second time the lengths are in the cache
    for name, kind in zip(pile.PAPER_TOKENIZERS, ("Llama", "Mistral", "GPTNeoX"), strict=True):
        network, fingerprint, loss, layers, lengths = found[name]
        assert network == f"{kind}ForCausalLM" and fingerprint == f"revision:{COMMIT}" and layers == 3
        assert 4 < loss < 8 and min(lengths) >= N_TOKENS
    # The untrained twin is the same in another process, from another place, with another number of threads.
    assert found["twin"] == tg.load_model(f"untrained:{repositories[LLAMA]}").fingerprint


def test_the_paper_profile_has_the_papers_parameters():
    profile = yaml.safe_load((PROJECT / "notebooks" / "profiles" / "paper.yml").read_text())
    assert tuple(profile["model"]) == tuple(profile["tokenizers"]) == pile.PAPER_TOKENIZERS
    assert (profile["prompts"], profile["n_prompts"], profile["n_tokens"]) == ("pile-10k", pile.PAPER_COUNT, 1024)
    assert (profile["n_shuffled"], profile["seed"], profile["shuffles"]) == (50, 42, [0, 1, 2, 3, 4, 5])
    assert profile["dtype"] == "bfloat16"


def test_without_a_network_the_error_states_what_to_do(tmp_path):
    offline = refusals([("org/name", ""), ("pile-10k", "")], tmp_path, HF_HUB_OFFLINE="1")
    assert offline[0] == (
        "the model org/name is not in the cache, and HF_HUB_OFFLINE forbids downloading it: unset it, or run  "
        f"hf download org/name  on a machine with a network and copy its cache to {tmp_path}/hub"
    )
    assert "hf download --repo-type dataset NeelNanda/pile-10k" in offline[1]
    down = refusals([("org/name", ""), ("pile-10k", "")], tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    for line in down:
        assert "is not in the cache, and http://127.0.0.1:9 cannot be reached (ConnectError): connect, or run" in line


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_a_partial_download_is_not_used(repositories, tmp_path, environment):
    """A model that is complete in the cache needs no network."""
    home = lay_out({name: repositories[name] for name in (LLAMA, MISTRAL)}, tmp_path)
    (base,) = (home / "hub").glob("models--mistralai*")
    sorted(base.glob("snapshots/*/model-*.safetensors"))[-1].unlink()
    (found,) = refusals([(MISTRAL, "")], home, **environment)
    assert f"the model {MISTRAL} is not in the cache" in found
    code = f"""
import json
from tokengeom_utils.models.load import fetch_model, load_tokenizer
print(json.dumps([fetch_model({LLAMA!r}).name, load_tokenizer({MISTRAL!r}).fingerprint]))
"""
    assert run(code, home, **environment) == [COMMIT, f"revision:{COMMIT}"]


def test_refusals_of_the_hub_state_what_to_do(repositories, tmp_path):
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text('{"model_type": "llama"}')
    (pickled / "tokenizer.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"")
    quantized = tmp_path / "quantized"
    quantized.mkdir()
    for bits in "48":
        (quantized / f"q{bits}.gguf").write_bytes(b"")
    folders = {"org/pickled": pickled, "org/quantized": quantized, "org/gated": pickled, "org/gated-too": pickled}
    cases = [
        (
            "org/gated",
            "",
            "the model org/gated is gated: accept its license at https://huggingface.co/org/gated, "
            "then run  hf auth login",
        ),
        ("org/gated-too", "hf_token", "account has no access yet: request it at https://huggingface.co/org/gated-too"),
        (
            "org/private",
            "",
            "no model at https://huggingface.co/org/private: the name is wrong, or it is private: then "
            "run  hf auth login",
        ),
        ("org/nothing", "hf_token", "no model at https://huggingface.co/org/nothing: the name is wrong, or your"),
        ("org/expired", "hf_token", "the Hub rejects your access token: run  hf auth login  again, or unset HF_TOKEN"),
        ("org/fine-grained", "hf_token", "let the token read gated repositories, at https://huggingface.co/set"),
        ("org/blocked", "", "the Hub answers the request for the model org/blocked with error 451"),
        ("org/old@nowhere", "", "has no revision 'nowhere'"),
        ("org/pickled", "", "has only pickled weights (pytorch_model.bin)"),
        ("org/quantized", "", "holds 2 GGUF models: choose one by its path, such as org/quantized/q4.gguf"),
        ("org/quantized/q2.gguf", "", "has no file q2.gguf"),
        ("org/na--me", "", "not a name on the Hub"),
        ("pile-10k", "", "no dataset at https://huggingface.co/datasets/NeelNanda/pile-10k"),
    ]
    with hub(folders) as (address, requests):
        found = refusals([case[:2] for case in cases], tmp_path, HF_ENDPOINT=address)
    for line, (_, _, words) in zip(found, cases, strict=True):
        assert words in line, line
    assert not [request for request in requests if ".bin" in request]  # never requested


def test_a_model_is_fetched_once_and_without_pickles_or_code(repositories, tmp_path):
    """The real client with a server: which files it fetches, where it puts them, and that it fetches them once."""
    folder = tmp_path / "mistral"
    folder.mkdir()
    for file in repositories[MISTRAL].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for extra in ("pytorch_model.bin", "modeling_evil.py", "consolidated.safetensors", "original.pth"):
        (folder / extra).write_bytes(b"not to be fetched")
    assert (folder / "model.safetensors.index.json").is_file()
    code = f"""
import json, sys
from tokengeom_utils.models.load import fetch_model, load_tokenizer
small = load_tokenizer({MISTRAL!r}).source.folder
before = sorted(path.name for path in small.iterdir())
folders = [str(fetch_model({MISTRAL!r})), str(fetch_model("{MISTRAL}@{COMMIT}"))]
print(json.dumps([before, *folders, "torch" in sys.modules]))
"""
    with hub({MISTRAL: folder, f"datasets/{pile.PILE}": repositories[f"datasets/{pile.PILE}"]}) as (address, requests):
        before, first, pinned, torch_loaded = run(code, tmp_path, HF_ENDPOINT=address)
        assert not [name for name in before if name.endswith(".safetensors")] and "tokenizer.json" in before
        count = len(requests)
        assert run(code, tmp_path, HF_ENDPOINT=address)[1] == first and len(requests) == count > 0
        rows = run(
            "import json, tokengeom_utils as tg; print(json.dumps([p.id for p in tg.load_prompts('pile-10k')]))",
            tmp_path,
            HF_ENDPOINT=address,
        )
    assert first == pinned == str(tmp_path / "hub" / "models--mistralai--Mistral-7B-v0.1" / "snapshots" / COMMIT)
    assert not torch_loaded and len(rows) == 300
    names = sorted(path.name for path in Path(first).iterdir())
    assert names == sorted(path.name for path in repositories[MISTRAL].iterdir() if path.suffix != ".jinja")
    assert len([name for name in names if name.endswith(".safetensors")]) > 1
    model = tg.load_model(first)
    theirs = hf.AutoModelForCausalLM.from_pretrained(repositories[MISTRAL])
    for a, b in zip(model.network.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(
    "error, words",
    [
        (SimpleNamespace(response=SimpleNamespace(status_code=429)), "limits the rate of requests: wait some minutes"),
        (OSError(errno.ENOSPC, "No space left"), "no space left for the model org/name in .*: free some, or set"),
        (
            PermissionError(errno.EACCES, "denied", "cache"),
            "cannot be written to cache .denied.: set HF_HOME to a folder of",
        ),
        (KeyError("surprise"), "the model org/name could not be fetched: KeyError: 'surprise'"),
    ],
)
def test_other_failures_state_what_to_do(error, words):
    assert re.search(words, _explain(error, "org/name", "model", None))


def test_a_name_that_cannot_be_on_the_hub_is_refused():
    with pytest.raises(tg.InputError, match="must look like owner/name"):
        model_files("no-owner")


def test_the_cache_is_searched_by_branch_tag_and_commit(repositories, tmp_path, monkeypatch):
    home = lay_out({LLAMA: repositories[LLAMA]}, tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    (snapshot,) = (home / "hub").glob(f"*/snapshots/{COMMIT}")
    assert cached(LLAMA) == cached(LLAMA, "main") == cached(LLAMA, COMMIT) == snapshot
    assert cached(LLAMA, "v2") is None and cached(LLAMA, kind="dataset") is None


@pytest.mark.parametrize(
    "name, parts",
    [
        ("org/name", ("org/name", None, None)),
        ("org/name@v1.0", ("org/name", None, "v1.0")),
        ("org/name/q4/a.gguf@main", ("org/name", "q4/a.gguf", "main")),
    ],
)
def test_the_parts_of_a_name_on_the_hub(name, parts):
    assert tuple(NAME.fullmatch(name)[part] for part in ("repo", "file", "revision")) == parts


# --- what is refused -------------------------------------------------------------------------------------------------


class Evil:
    """An object whose pickle creates a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def folder(repositories, tmp_path):
    """A copy of the tiny Llama, for a test to damage."""
    copy = tmp_path / "llama"
    copy.mkdir()
    for file in repositories[LLAMA].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def edit(path, **changes):
    """Change entries of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder):
    """The error of load_model for a folder."""
    with pytest.raises(tg.InputError) as error:
        tg.load_model(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_pickle_is_never_read(folder, tmp_path):
    trap = tmp_path / "trap"
    for name in ("pytorch_model.bin", "adapter_model.bin", "training_args.bin", "vocab.pkl"):
        (folder / name).write_bytes(pickle.dumps(Evil(trap)))
    tg.load_model(folder)
    assert not trap.exists()
    (folder / "model.safetensors").unlink()
    assert "has only pickled weights" in refused(folder) and not trap.exists()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "pytorch_model.bin"}}')
    assert "is not an index of safetensors files" in refused(folder) and not trap.exists()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../model.safetensors"}}')
    assert "is not an index of safetensors files" in refused(folder)
    pickle.loads((folder / "vocab.pkl").read_bytes())
    assert trap.exists()  # the trap was set


def test_the_command_that_converts_pickled_weights_works(folder, tmp_path, monkeypatch):
    network = hf.AutoModelForCausalLM.from_pretrained(folder)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    code = refused(folder).split('python -c "')[1].split('"')[0]
    monkeypatch.chdir(tmp_path)
    exec(code)
    converted = tg.load_model("llama-safetensors")
    torch.testing.assert_close(converted.network.state_dict(), network.state_dict())


def test_code_of_a_repository_is_never_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("asked the user"))
    trap = tmp_path / "trap"
    code = f"import pathlib\npathlib.Path({str(trap)!r}).touch()\n"
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(code)
    wanted = {"AutoConfig": "configuration_evil.C", "AutoModelForCausalLM": "modeling_evil.M"}
    edit(folder / "config.json", auto_map=wanted)
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.T", None]})
    assert type(tg.load_model(folder).network) is hf.LlamaForCausalLM  # transformers supports this type itself
    edit(folder / "config.json", model_type="evil")
    assert "requires its own Python code (configuration_evil.py, modeling_evil.py), which is" in refused(folder)
    with pytest.raises(tg.InputError, match="requires its own Python code"):
        tg.load_model(f"untrained:{folder}")
    (folder / "config.json").write_text('{"model_type": "evil"}')
    assert "has type 'evil', which this version of transformers does not support" in refused(folder)
    assert not trap.exists()
    for function in (tg.load_model, tg.load_tokenizer, tg.fetch_model):
        assert "trust_remote_code" not in inspect.signature(function).parameters


@pytest.mark.parametrize(
    "file, changes, words",
    [
        ("config.json", {"attn_implementation": "org/kernel"}, "requires a kernel from the Hub (org/kernel)"),
        ("config.json", {"transformers_weights": "adapter_model.bin"}, "only safetensors are read"),
        ("config.json", {"hidden_size": 32}, "the weights of"),
        ("config.json", {"num_hidden_layers": 3}, "are missing or have another shape, such as model.layers.2."),
        ("tokenizer.json", {"model": {"type": "nonsense"}}, "could not be loaded"),
    ],
)
def test_a_folder_with_a_wrong_file_is_refused(folder, file, changes, words):
    edit(folder / file, **changes)
    assert words in refused(folder)


def test_a_shard_that_is_missing_is_named(repositories, tmp_path):
    copy = tmp_path / "mistral"
    copy.mkdir()
    for file in repositories[MISTRAL].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    next(copy.glob("model-00001*")).unlink()
    assert "lacks some of its weight files: it has only model-00002" in refused(copy)


def test_damaged_files_are_refused(folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    assert "are damaged" in refused(folder)
    weights.write_bytes(whole)
    (folder / "config.json").write_text("{")
    assert "config.json is not JSON" in refused(folder)
    (folder / "config.json").unlink()
    assert "has no config.json" in refused(folder)
    (folder / "adapter_config.json").write_text("{}")
    assert "is an adapter" in refused(folder)
