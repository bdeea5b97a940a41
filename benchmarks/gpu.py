"""What measuring every layer of an 8B model adds to its forward pass on a GPU.

    python benchmarks/gpu.py      # needs torch, transformers and numpy, nothing else
    python benchmarks/gpu.py --device cpu --layers 4 --features 256 --vocab 1000 --tokens 300 --batch 1,2 --scale-max 64

The first writes benchmarks/results/gpu.json, any other run _build/benchmarks/gpu.json, unless --out names a folder.

The model has the shape of Llama-3-8B (33 clouds of 1024 tokens and 4096 features, bfloat16) and random weights, so
nothing is downloaded. The time of a forward pass does not depend on the weights; the observables mean nothing: layer 0
is Gaussian, the layers after it running averages of Gaussians. Tokens repeat about as often as in text, so layer 0
holds exact duplicates.

Measured for each batch size, the variants taking turns: the forward pass without and with its losses, and that forward
pass while every layer is measured, first in turn with the model, then aside, as surveys do. Then what the observables
cost part by part, and what two of them cost at least, done this way or another: the float64 Gram matrices and the
selection of neighbors. Times are in milliseconds per prompt. What the device finds is compared with what the CPU finds
in the same clouds, and with itself.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tokengeom_utils import __version__, processor  # noqa: E402

processor.apply()  # before torch and numpy are imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from tokengeom_utils import cosine, extract, geometry, layer, neighbors  # noqa: E402
from tokengeom_utils.models import LanguageModel  # noqa: E402

# What is measured is the path of a GPU, also with --device cpu and where it is checked on the CPU.
geometry.can_screen = neighbors.can_screen = lambda cloud: False

PAPER_PROMPTS = 2244  # of one model
GOAL_PERCENT, GOAL_SECONDS = 25, 120  # over forward only, on one H200; for the paper's prompts
ZIPF = 1.1  # 1024 tokens drawn by this law: about 490 distinct ones, 3 % of the pairs are equal, much as in text
SEED = 42
# Functions of the package that are timed one by one: label, where they are called from, name.
PARTS = (
    ("finite?", geometry, "as_clouds"),
    ("norms, directions", layer, "cosine_and_neighbors"),
    ("center, distances", neighbors, "_table"),
    ("Gram matrix", neighbors, "gram"),
    ("close pairs", neighbors, "_mend"),
    ("selection", neighbors, "_smallest"),
    ("duplicates", layer, "without_duplicates"),
    ("angles", layer, "neighbor_angles"),
    ("overlap", geometry, "neighborhood_overlap"),
    ("GRIDE", geometry, "gride_from_radii"),
)


def main():
    options = parse_options()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu.py: torch sees no CUDA device here; --device cpu runs it too, with small sizes (see --help)")
    machine = describe(device)
    model = build_model(options, device)
    ids = draw_prompts(options, max(2, *options.batch)).to(device)
    distinct = median(len(row.unique()) for row in ids)
    sizes = {
        "layers": options.layers + 1, "tokens": options.tokens, "features": options.features, "vocab": options.vocab,
        "dtype": str(model.network.dtype), "parameters": sum(p.numel() for p in model.network.parameters()),
        "scale_max": options.scale_max, "k_max": options.k_max, "distinct_tokens": distinct,
    }
    print(f"{machine['device']}, " + ", ".join(f"{k} {machine[k]}" for k in ("torch", "cuda", "driver") if machine[k]))
    print(
        f"{sizes['layers']} layers x {options.tokens} tokens x {options.features} features, {sizes['dtype']}, "
        f"{sizes['parameters'] / 1e9:.2f} G random weights, {distinct:.0f} distinct tokens per prompt", flush=True
    )
    result = {
        "date": date.today().isoformat(), "machine": machine, "sizes": sizes, "repeats": options.repeats,
        "note": "random weights: only the times and the checks mean anything, the observables do not",
        "checks": check(model, ids[:2], options), "batches": [],
    }
    for size in options.batch:
        measured = unless_out_of_memory(measure_batch, model, ids[:size], options)
        if measured is None:
            print(f"batch {size}: out of memory, stopped here", flush=True)
            result["out_of_memory_at_batch"] = size
            break
        result["batches"].append(measured)
        report(measured)
    if result["batches"]:
        result["best"] = summary(result["batches"], machine["device"])
    file = options.out / "gpu.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(  # to six digits, and without NaN, which JSON does not know
        json.dumps(result), parse_float=lambda text: float(f"{float(text):.6g}"), parse_constant=lambda name: None
    )
    file.write_text(json.dumps(rounded, indent=1) + "\n")
    print(f"written to {file}")
    if not result["checks"]["passed"]:
        sys.exit("gpu.py: the observables on this device are not those on the CPU, see checks")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32, help="transformer blocks")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--features", type=int, default=4096, help="a multiple of 128")
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--batch", default="1,2,4,8,16", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale-max", type=int, default=geometry.SCALE_MAX)
    parser.add_argument("--k-max", type=int, default=geometry.K_MAX)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, help="folder for gpu.json")
    options = parser.parse_args()
    if options.out is None:
        as_is = options == parser.parse_args([])  # a reduced run leaves the results alone
        options.out = ROOT / ("benchmarks/results" if as_is else "_build/benchmarks")
    return options


def describe(device):
    """The machine, as far as it matters for the times, and what was measured."""
    driver, name = None, f"{platform.machine()} processor, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        driver = first_line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return {
        "device": name, "driver": driver, "cuda": torch.version.cuda, "python": platform.python_version(),
        "torch": torch.__version__, "transformers": transformers.__version__, "numpy": np.__version__,
        "tokengeom-utils": __version__, "commit": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def first_line(*command):
    """The first line that ``command`` prints, or None."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def build_model(options, device):
    """A Llama with random weights, made where it is used."""
    heads = max(1, options.features // 128)
    config = transformers.LlamaConfig(
        hidden_size=options.features, intermediate_size=options.features * 7 // 2, num_hidden_layers=options.layers,
        num_attention_heads=heads, num_key_value_heads=max(1, heads // 4), vocab_size=options.vocab,
        max_position_embeddings=max(8192, options.tokens), tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    )
    torch.manual_seed(SEED)
    with device:
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return LanguageModel("random weights in the shape of Llama-3-8B", network.eval(), None, f"random:{SEED}")


def draw_prompts(options, count):
    """Token ids (prompt, token) with the repetitions of text: independent draws from a Zipf law."""
    weight = np.arange(1, options.vocab + 1) ** -ZIPF
    generator = np.random.default_rng(SEED)
    return torch.from_numpy(generator.choice(options.vocab, (count, options.tokens), p=weight / weight.sum()))


# The variants that take turns


def forward_without_loss(model, ids, options):
    with torch.inference_mode():
        model.network.base_model(input_ids=ids, use_cache=False)


def forward(model, ids, options):
    return extract.stream_clouds(model, ids, lambda cloud: None)


def in_turn(model, ids, options):
    observer = geometry.Observer(options.scale_max, options.k_max)
    loss = extract.stream_clouds(model, ids, observer.see)
    return found_by(observer, loss)


def aside(model, ids, options):
    """A layer is measured by a second thread: the device is given work while either waits for it."""
    observer = geometry.Observer(options.scale_max, options.k_max)
    with geometry.aside(observer.see) as see:
        loss = extract.stream_clouds(model, ids, see)
    return found_by(observer, loss)


def found_by(observer, loss):
    return {name: value.cpu() for name, value in observer.values().items()} | {"loss": loss.mean(-1).cpu()}


VARIANTS = {"no loss": forward_without_loss, "forward": forward, "in turn": in_turn, "aside": aside}


def measure_batch(model, ids, options):
    """Times in seconds per batch, memory in GiB."""
    device, size = ids.device, len(ids)
    peak, seconds = {}, {name: [] for name in VARIANTS}
    for name, variant in VARIANTS.items():  # warms up, and shows the memory of each on its own
        variant(model, ids, options)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            variant(model, ids, options)
            peak[name] = torch.cuda.max_memory_allocated(device) / 2**30
    for _ in range(options.repeats):
        for name, variant in VARIANTS.items():
            seconds[name].append(timed(device, lambda: variant(model, ids, options)))
    typical = {name: median(times) for name, times in seconds.items()}
    overhead = {name: 100 * (typical[name] / typical["forward"] - 1) for name in ("in turn", "aside")}
    return {
        "batch": size,
        "seconds": seconds,
        "milliseconds_per_prompt": {name: 1000 * value / size for name, value in typical.items()},
        "overhead_percent": overhead,
        "prompts_per_second": size / typical["aside"],
        "projected_seconds": PAPER_PROMPTS * typical["aside"] / size,
        "peak_gib": peak,
        "parts": time_parts(model, ids, options),
        "floor": time_floor(size, options, device),
    }


def timed(device, function):
    """Seconds that ``function`` takes, with everything it started on the device."""
    synchronize(device)
    if device.type != "cuda":
        start = time.perf_counter()
        function()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# Where the time goes


class Stopwatch:
    """Time spent in each of several functions, without what they spend in one another.

    Waits for the device before and after each, so the sum is a little more than the undisturbed time.
    """

    def __init__(self, device):
        self.device, self.seconds, self.running, self.since = device, defaultdict(float), [], 0.0

    def lap(self):
        synchronize(self.device)
        now = time.perf_counter()
        if self.running:
            self.seconds[self.running[-1]] += now - self.since
        self.since = now

    def watch(self, label, function):
        def watched(*args, **kwargs):
            if "duplicates" in self.running:  # it makes neighbor tables of its own: all of that is its time
                return function(*args, **kwargs)
            self.lap()
            self.running.append(label)
            try:
                return function(*args, **kwargs)
            finally:
                self.lap()
                self.running.pop()

        return watched


@contextmanager
def watched_parts(stopwatch):
    """The functions of :data:`PARTS` under the stopwatch, and as they were afterwards."""

    def visit_pairs(cloud, k, visit=None):
        return pairs(cloud, k, visit and stopwatch.watch("cosine of pairs", visit))

    pairs = cosine.visit_pairs
    originals = [(module, name, getattr(module, name)) for _, module, name in PARTS if hasattr(module, name)]
    try:
        for label, module, name in PARTS:
            if hasattr(module, name):
                setattr(module, name, stopwatch.watch(label, getattr(module, name)))
        cosine.visit_pairs = visit_pairs
        yield
    finally:
        cosine.visit_pairs = pairs
        for module, name, function in originals:
            setattr(module, name, function)


def time_parts(model, ids, options):
    """Milliseconds per prompt of every part of one run, and how often it waits for the device."""
    stopwatch = Stopwatch(ids.device)
    observer = geometry.Observer(options.scale_max, options.k_max)
    see, values = (stopwatch.watch("rest of the observables", f) for f in (observer.see, observer.values))
    with watched_parts(stopwatch):
        stopwatch.watch("forward", extract.stream_clouds)(model, ids, see)
        values()
    parts = {label: 1000 * seconds / len(ids) for label, seconds in stopwatch.seconds.items()}
    return {"milliseconds_per_prompt": parts, "waits_per_layer": count_waits(model, ids, options)}


def count_waits(model, ids, options):
    """How often per layer the observables wait for the device, by torch's own warnings; None without a GPU."""
    if ids.device.type != "cuda":
        return None
    counts = []
    for variant in (forward, in_turn):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                variant(model, ids, options)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchroniz" in str(warning.message) for warning in caught))
    return (counts[1] - counts[0]) / (options.layers + 1)


def time_floor(size, options, device):
    """Milliseconds per prompt, for all layers, of the two things that cannot be left out, with rivals for each."""
    n, k, layers = options.tokens, max(options.scale_max, options.k_max + 1), options.layers + 1
    x = torch.randn(size, n, options.features, dtype=torch.float64, device=device)
    at_once = 1 if device.type == "cpu" else max(1, neighbors.BLOCK // n**2)  # as the package does
    keys = torch.cdist(x, x).square().view(torch.int64)
    rivals = {
        "Gram, full": lambda: x @ x.mT,
        "Gram, half": lambda: [neighbors.gram(part) for part in x.split(at_once)],
        "Gram, half, whole batch": lambda: neighbors.gram(x),
        "select, topk": lambda: [part.topk(k, largest=False, sorted=True) for part in keys.split(at_once)],
        "select, sort": lambda: [part.sort(-1).values[..., :k] for part in keys.split(at_once)],
    }
    result = {}
    for name, function in rivals.items():
        function()
        times = [timed(device, lambda: [function() for _ in range(layers)]) for _ in range(min(3, options.repeats))]
        result[name] = 1000 * median(times) / size
    result["Gram, full, TFLOP/s"] = 2 * n * n * options.features * layers / result["Gram, full"] / 1e9
    return result


# Is it right?


def check(model, ids, options):
    """Four layers of one prompt against the same clouds on the CPU, and runs of a batch against each other."""
    middle = options.layers // 2
    wanted, clouds = sorted({0, 1, middle, middle + 1}), []
    extract.stream_clouds(model, ids, clouds.append)
    clouds = [clouds[layer].clone() for layer in wanted]
    here = observe(clouds, options)
    there = observe([cloud[0].cpu() for cloud in clouds], options)
    here = {name: value[0].cpu() for name, value in here.items()}
    apart = {name: (here[name] - there[name]).abs() for name in there}
    # Overlap cannot tell which of several equally distant neighbors is meant: layers with ties are judged apart.
    tied = there["tied_tokens"] > 0
    either = tied[:-1] | tied[1:]
    overlap = apart["neighborhood_overlap"][:-1].amax(-1)
    first, *others = (variant(model, ids, options) for variant in (in_turn, in_turn, aside))
    found = {
        "layers": wanted,
        "duplicate_tokens": there["duplicate_tokens"].tolist(),
        "tied_tokens": there["tied_tokens"].tolist(),
        "cosine_similarity": there["cosine_similarity"].tolist(),
        "intrinsic_dimension": there["intrinsic_dimension"].tolist(),
        "intrinsic_dimension_apart": worst(apart["intrinsic_dimension"] / there["intrinsic_dimension"]),
        "cosine_similarity_apart": max(worst(v) for name, v in apart.items() if name.startswith("cosine")),
        "neighbor_angle_apart": worst(apart["neighbor_angle"]),
        "overlap_apart": worst(overlap[~either]),
        "overlap_apart_with_ties": worst(overlap[either]),
        "counts_equal": all(torch.equal(here[name], there[name]) for name in ("duplicate_tokens", "tied_tokens")),
        "undefined_equal": all(torch.equal(here[name].isnan(), there[name].isnan()) for name in there),
        "same_bits": all(torch.equal(bits(first[name]), bits(other[name])) for other in others for name in first),
    }
    found["passed"] = (
        found["intrinsic_dimension_apart"] <= 1e-6 and found["cosine_similarity_apart"] <= 1e-6
        and found["neighbor_angle_apart"] <= 1e-5 and found["overlap_apart"] == 0
        and found["overlap_apart_with_ties"] <= 1e-3 and found["undefined_equal"] and found["same_bits"]
    )
    print(
        f"\nlayers {wanted} of one prompt, device against CPU: dimension {found['intrinsic_dimension_apart']:.0e}, "
        f"cosine {found['cosine_similarity_apart']:.0e}, angle {found['neighbor_angle_apart']:.0e} degrees, overlap "
        f"{found['overlap_apart']:.0e} ({found['overlap_apart_with_ties']:.0e} where there are ties)\n"
        f"duplicates {found['duplicate_tokens']}; runs on the device, in turn and aside, give "
        f"{'the same' if found['same_bits'] else 'DIFFERENT'} bits: {'passed' if found['passed'] else 'FAILED'}",
        flush=True,
    )
    return found


def observe(clouds, options):
    observer = geometry.Observer(options.scale_max, options.k_max)
    for cloud in clouds:
        observer.see(cloud)
    return observer.values()


def worst(errors):
    """The largest of ``errors``, without those of undefined values; 0 if there are none."""
    return float(errors.double().nan_to_num(0.0).max()) if errors.numel() else 0.0


def bits(values):
    """``values`` as integers, so that NaN equals NaN."""
    integers = {8: torch.int64, 4: torch.int32}
    return values.contiguous().view(integers[values.element_size()])


# What comes out


def report(measured):
    each = measured["milliseconds_per_prompt"]
    print(f"\nbatch {measured['batch']}, ms per prompt")
    labels = {
        "no loss": "forward without losses", "forward": "forward",
        "in turn": "and observables, in turn", "aside": "and observables, aside",
    }
    for name, label in labels.items():
        memory = f"   peak {measured['peak_gib'][name]:6.1f} GiB" if measured["peak_gib"] else ""
        more = f"   {measured['overhead_percent'][name]:+6.1f} %" if name in measured["overhead_percent"] else ""
        print(f"  {label:28}{each[name]:9.2f}{memory}{more}")
    seconds = measured["projected_seconds"]
    print(f"  {measured['prompts_per_second']:.2f} prompts/s, {PAPER_PROMPTS:,} prompts in {seconds:.0f} s")
    print("  part by part, in turn")
    parts = measured["parts"]
    for label, value in sorted(parts["milliseconds_per_prompt"].items(), key=lambda part: -part[1]):
        print(f"    {label:26}{value:9.2f}")
    if parts["waits_per_layer"] is not None:
        print(f"    waits for the device {parts['waits_per_layer']:.1f} times per layer")
    print("  alone")
    for label, value in measured["floor"].items():
        print(f"    {label:26}{value:9.2f}")
    sys.stdout.flush()


def summary(batches, device):
    """The fastest batch size, against the goal."""
    best = max(batches, key=lambda measured: measured["prompts_per_second"])
    overhead, seconds = best["overhead_percent"]["aside"], best["projected_seconds"]
    print(
        f"\n{device}: fastest with {best['batch']} prompts at once, {best['prompts_per_second']:.2f} prompts/s; "
        f"{overhead:.1f} % over forward only (goal {GOAL_PERCENT} %), {PAPER_PROMPTS:,} prompts in {seconds:.0f} s "
        f"(goal {GOAL_SECONDS} s on an H200)"
    )
    return {
        "batch": best["batch"], "prompts_per_second": best["prompts_per_second"], "overhead_percent": overhead,
        "projected_seconds": seconds, "goal_percent": GOAL_PERCENT, "goal_seconds": GOAL_SECONDS,
    }


def unless_out_of_memory(function, *args):
    """What ``function`` returns, or None if the device's memory did not suffice."""
    try:
        return function(*args)
    except torch.OutOfMemoryError:
        pass  # the traceback holds the tensors until here
    torch.cuda.empty_cache()
    return None


if __name__ == "__main__":
    main()
