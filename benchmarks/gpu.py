"""Time that measuring every layer of an 8B model adds to its forward pass on a GPU.

    python benchmarks/gpu.py      # requires torch, transformers, numpy, and lazy-loader; the survey zarr and more
    python benchmarks/gpu.py --device cpu --layers 4 --features 256 --vocab 1000 --tokens 300 --batch 1,2 \
        --scale-max 64 --prompts 12 --survey-batch 2

The first command writes benchmarks/results/gpu.json; any other run writes _build/benchmarks/gpu.json, unless --out
names a folder.

The model has the shape of Llama-3-8B (33 clouds of 1024 tokens and 4096 features, bfloat16) and random weights, so
nothing is downloaded. The time of a forward pass does not depend on the weights. The observables are meaningless: layer
0 is Gaussian, and the layers after it are running averages of Gaussians. Tokens repeat about as often as in text, so
layer 0 contains exact duplicates.

First a whole survey is measured through ``tg.survey``, beside the loop of its measurements alone and with the
utilization of the device (``gpu_survey.py``). For each batch size, these variants are measured in turn: the forward
pass without and with its losses, the same forward pass while every layer is measured, and everything that a survey
measures, including entropies and the dimension of the logits. Then come the observables of stored clouds, kernel by
kernel, and the float64 Gram matrices, a lower bound on their time. Times are in milliseconds per prompt. The results of
the device are compared with those of the CPU for the same clouds, and with a second run on the device. The file is
written again after each part, so a run that is stopped keeps what it has measured.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tokengeom_utils import __version__, processor

processor.apply()  # before torch and numpy are imported

import gpu_survey
import numpy as np
import torch
import transformers

from tokengeom_utils import GPU_BATCH, LanguageModel
from tokengeom_utils.clouds import kernels
from tokengeom_utils.clouds import observer as geometry
from tokengeom_utils.clouds.kernels.products import gram
from tokengeom_utils.models import extract
from tokengeom_utils.surveys.measure import measure_arrays

# Measure the path of a GPU; with --device cpu, and for the checks on the CPU, use the reference instead.
kernels.path = lambda tensor: "gpu" if tensor.is_cuda else "reference"

PAPER_PROMPTS = 2244  # of one model
GOAL_PERCENT, GOAL_SECONDS = 25, 120  # overhead on one H200; time for the paper's prompts
ZIPF = 1.1  # 1024 tokens from this distribution: about 490 distinct ones, 3% of the pairs equal, much as in text
SEED = 42


def main():
    options = parse_options()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu.py: torch finds no CUDA device on this machine; add --device cpu, with small sizes (see --help)")
    machine = describe(device)
    model = build_model(options, device)
    ids = draw_prompts(options, max(2, *options.batch)).to(device)
    distinct = median(len(row.unique()) for row in ids)
    sizes = {
        "layers": options.layers + 1,
        "tokens": options.tokens,
        "features": options.features,
        "vocab": options.vocab,
        "dtype": str(model.network.dtype),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "scale_max": options.scale_max,
        "k_max": options.k_max,
        "distinct_tokens": distinct,
    }
    print(f"{machine['device']}, " + ", ".join(f"{k} {machine[k]}" for k in ("torch", "cuda", "driver") if machine[k]))
    print(
        f"{sizes['layers']} layers x {options.tokens} tokens x {options.features} features, {sizes['dtype']}, "
        f"{sizes['parameters'] / 1e9:.2f} G random weights, {distinct:.0f} distinct tokens per prompt",
        flush=True,
    )
    result = {
        "date": date.today().isoformat(),
        "machine": machine,
        "sizes": sizes,
        "repeats": options.repeats,
        "note": "random weights: only the times and the checks are meaningful, not the observables",
        "checks": check(model, ids[:2], options),
        "batches": [],
    }
    if options.prompts:
        result["survey"] = gpu_survey.measure_survey(model, options)
        save(result, options.out)
        if result["survey"]:
            gpu_survey.report(result["survey"])
    for size in options.batch:
        measured = unless_out_of_memory(measure_batch, model, ids[:size], options)
        if measured is None:
            print(f"batch {size}: out of memory, stopped here", flush=True)
            result["out_of_memory_at_batch"] = size
            break
        result["batches"].append(measured)
        save(result, options.out)
        report(measured)
    if result["batches"]:
        result["best"] = summary(result["batches"], machine["device"])
    print(f"written to {save(result, options.out)}")
    if not result["checks"]["passed"]:
        sys.exit("gpu.py: the observables on this device differ from those on the CPU; see 'checks' in gpu.json")


def save(result, folder):
    """Write the results so far, to six digits; return the file."""
    file = folder / "gpu.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(  # without NaN, which JSON lacks
        json.dumps(result), parse_float=lambda text: float(f"{float(text):.6g}"), parse_constant=lambda name: None
    )
    file.write_text(json.dumps(rounded, indent=1) + "\n")
    return file


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32, help="transformer blocks")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--features", type=int, default=4096, help="a multiple of 128")
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--batch", default="1,2,4,8,16,32", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale-max", type=int, default=geometry.SCALE_MAX)
    parser.add_argument("--k-max", type=int, default=geometry.K_MAX)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--prompts", type=int, default=640, help="of the survey; 0 leaves it out")
    parser.add_argument("--survey-batch", type=int, default=GPU_BATCH, help="measurements in a pass of the survey")
    parser.add_argument("--out", type=Path, help="folder for gpu.json")
    options = parser.parse_args()
    if options.out is None:
        as_is = options == parser.parse_args([])  # a reduced run leaves the committed results unchanged
        options.out = ROOT / ("benchmarks/results" if as_is else "_build/benchmarks")
    return options


def describe(device):
    """Return the parts of the machine that affect the times, and the measured version."""
    driver, name = None, f"{platform.machine()} processor, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        driver = first_line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return {
        "device": name,
        "driver": driver,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
        "tokengeom-utils": __version__,
        "commit": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def first_line(*command):
    """Return the first line that ``command`` prints, or None."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def build_model(options, device):
    """Return a Llama with random weights, created on the device."""
    heads = max(1, options.features // 128)
    config = transformers.LlamaConfig(
        hidden_size=options.features,
        intermediate_size=options.features * 7 // 2,
        num_hidden_layers=options.layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 4),
        vocab_size=options.vocab,
        max_position_embeddings=max(8192, options.tokens),
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    )
    torch.manual_seed(SEED)
    with device:
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return LanguageModel("random weights in the shape of Llama-3-8B", network.eval(), None, f"random:{SEED}")


def draw_prompts(options, count):
    """Return token ids (prompt, token) that repeat as in text: independent draws from a Zipf distribution."""
    weight = np.arange(1, options.vocab + 1) ** -ZIPF
    generator = np.random.default_rng(SEED)
    return torch.from_numpy(generator.choice(options.vocab, (count, options.tokens), p=weight / weight.sum()))


# Variants of a run


def forward_without_loss(model, ids, options):
    with torch.inference_mode():
        model.network.base_model(input_ids=ids, use_cache=False)


def forward(model, ids, options):
    return extract.stream_clouds(model, ids, lambda cloud: None)


def with_observables(model, ids, options):
    observer = geometry.Observer(options.scale_max, options.k_max)
    loss = extract.stream_clouds(model, ids, observer.update)
    return {name: value.cpu() for name, value in observer.values().items()} | {"loss": loss.mean(-1).cpu()}


def as_in_a_survey(model, ids, options):
    return measure_arrays(model, ids.cpu(), options.scale_max, options.k_max)


VARIANTS = {
    "no loss": forward_without_loss,
    "forward": forward,
    "observables": with_observables,
    "survey": as_in_a_survey,
}


def measure_batch(model, ids, options):
    """Return times in seconds per batch, and memory in GiB."""
    device, size = ids.device, len(ids)
    peak, seconds = {}, {name: [] for name in VARIANTS}
    for name, variant in VARIANTS.items():  # a warm-up that also gives the memory of each variant
        variant(model, ids, options)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            variant(model, ids, options)
            peak[name] = torch.cuda.max_memory_allocated(device) / 2**30
    for _ in range(options.repeats):
        for name, variant in VARIANTS.items():
            seconds[name].append(timed(device, partial(variant, model, ids, options)))
    typical = {name: median(times) for name, times in seconds.items()}
    overhead = {name: 100 * (typical[name] / typical["forward"] - 1) for name in ("observables", "survey")}
    return {
        "batch": size,
        "seconds": seconds,
        "milliseconds_per_prompt": {name: 1000 * value / size for name, value in typical.items()},
        "overhead_percent": overhead,
        "prompts_per_second": size / typical["observables"],
        "projected_seconds": PAPER_PROMPTS * typical["observables"] / size,
        "peak_gib": peak,
        "programs": count_launches(model, ids, options),
        "observables_alone": time_observables(model, ids, options),
        "floor": time_floor(size, options, device),
    }


def timed(device, function):
    """Return the seconds that ``function`` takes, including everything it starts on the device."""
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


# Breakdown of the time


def time_observables(model, ids, options):
    """Return milliseconds per prompt for the observables of stored clouds, in total and by kernel (on a GPU)."""
    clouds = []
    extract.stream_clouds(model, ids, lambda cloud: clouds.append(cloud.clone()))
    found = {"all": timed(ids.device, lambda: observe(clouds, options)) * 1000 / len(ids), "kernels": {}}
    if ids.device.type == "cuda":
        for event in profiled(lambda: observe(clouds, options)):
            name = event.key.split("<")[0].removeprefix("void ")[:60]
            found["kernels"].setdefault(name, 0.0)
            found["kernels"][name] += event.self_device_time_total / 1000 / len(ids)
    return found


def profiled(function):
    """Return the programs that a function runs on the GPU, with their times and counts."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        function()
        torch.cuda.synchronize()
    return [event for event in profile.key_averages() if event.self_device_time_total]


def count_launches(model, ids, options):
    """Return how many programs each variant starts on the GPU, and for how many milliseconds of a prompt they run."""
    found = {}
    for name, variant in VARIANTS.items() if ids.is_cuda else ():
        events = profiled(partial(variant, model, ids, options))
        found[name] = {
            "launches": sum(event.count for event in events),
            "milliseconds": sum(event.self_device_time_total for event in events) / 1000 / len(ids),
        }
    return found


def time_floor(size, options, device):
    """Return milliseconds per prompt for the part that cannot be avoided: the float64 Gram matrices of all layers."""
    n, layers = options.tokens, options.layers + 1
    x = torch.randn(size, n, options.features, dtype=torch.float64, device=device)
    result = {}
    for name, function in {"Gram, full": lambda: x @ x.mT, "Gram, half": lambda: gram(x)}.items():
        function()
        times = [timed(device, partial(repeat, function, layers)) for _ in range(min(3, options.repeats))]
        result[name] = 1000 * median(times) / size
    result["Gram, full, TFLOP/s"] = 2 * n * n * options.features * layers / result["Gram, full"] / 1e9
    return result


def repeat(function, times):
    for _ in range(times):
        function()


# Checks


def check(model, ids, options):
    """Compare four layers of one prompt with the same clouds on the CPU, and the device with itself."""
    middle = options.layers // 2
    wanted, clouds = sorted({0, 1, middle, middle + 1}), []
    extract.stream_clouds(model, ids, clouds.append)
    clouds = [clouds[layer].clone() for layer in wanted]
    batch = {name: value[0].cpu() for name, value in observe(clouds, options).items()}
    here = {name: value.cpu() for name, value in observe([cloud[0] for cloud in clouds], options).items()}
    there = observe([cloud[0].cpu() for cloud in clouds], options)
    apart = {name: (here[name] - there[name]).abs() for name in there}
    # The overlap of layers with ties depends on the order of equally distant neighbors, so it has its own tolerance.
    tied = there["tied_tokens"] > 0
    either = tied[:-1] | tied[1:]
    overlap = apart["neighborhood_overlap"][:-1].amax(-1)
    runs = [with_observables(model, ids, options) for _ in range(3)]
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
        "alone_or_in_a_batch_apart": max(worst((here[name] - batch[name]).abs()) for name in here),
        "counts_equal": all(torch.equal(here[name], there[name]) for name in ("duplicate_tokens", "tied_tokens")),
        "undefined_equal": all(torch.equal(here[name].isnan(), there[name].isnan()) for name in there),
        "same_bits": all(torch.equal(bits(runs[0][name]), bits(run[name])) for run in runs[1:] for name in run),
    }
    found["passed"] = (
        found["intrinsic_dimension_apart"] <= 1e-6
        and found["cosine_similarity_apart"] <= 1e-6
        and found["neighbor_angle_apart"] <= 1e-5
        and found["overlap_apart"] == 0
        and found["overlap_apart_with_ties"] <= 1e-3
        and found["alone_or_in_a_batch_apart"] <= 1e-9
        and found["undefined_equal"]
        and found["same_bits"]
    )
    print(
        f"\nlayers {wanted} of one prompt, device against CPU: dimension {found['intrinsic_dimension_apart']:.0e}, "
        f"cosine {found['cosine_similarity_apart']:.0e}, angle {found['neighbor_angle_apart']:.0e} degrees, overlap "
        f"{found['overlap_apart']:.0e} ({found['overlap_apart_with_ties']:.0e} where there are ties); "
        f"alone or in a batch: {found['alone_or_in_a_batch_apart']:.0e}\n"
        f"duplicates {found['duplicate_tokens']}; three runs on the device give "
        f"{'the same' if found['same_bits'] else 'DIFFERENT'} bits: {'passed' if found['passed'] else 'FAILED'}",
        flush=True,
    )
    return found


def observe(clouds, options):
    observer = geometry.Observer(options.scale_max, options.k_max)
    for cloud in clouds:
        observer.update(cloud)
    return observer.values()


def worst(errors):
    """Return the largest of ``errors``, ignoring undefined values; 0 if there are none."""
    return float(errors.double().nan_to_num(0.0).max()) if errors.numel() else 0.0


def bits(values):
    """Return ``values`` as integers, so that NaN equals NaN."""
    integers = {8: torch.int64, 4: torch.int32}
    return values.contiguous().view(integers[values.element_size()])


# Report


def report(measured):
    each = measured["milliseconds_per_prompt"]
    print(f"\nbatch {measured['batch']}, ms per prompt")
    labels = {
        "no loss": "forward without losses",
        "forward": "forward",
        "observables": "with observables",
        "survey": "with all survey measurements",
    }
    for name, label in labels.items():
        memory = f"   peak {measured['peak_gib'][name]:6.1f} GiB" if measured["peak_gib"] else ""
        more = f"   {measured['overhead_percent'][name]:+6.1f} %" if name in measured["overhead_percent"] else ""
        if programs := measured["programs"].get(name):
            more = f"   {programs['launches']:6} launches, {programs['milliseconds']:7.2f} ms on the device" + more
        print(f"  {label:32}{each[name]:9.2f}{memory}{more}")
    seconds = measured["projected_seconds"]
    print(f"  {measured['prompts_per_second']:.2f} prompts/s, {PAPER_PROMPTS:,} prompts in {seconds:.0f} s")
    alone = measured["observables_alone"]
    print(f"  {'observables of stored clouds':32}{alone['all']:9.2f}")
    for name, value in sorted(alone["kernels"].items(), key=lambda kernel: -kernel[1])[:8]:
        print(f"    {name:60}{value:9.3f}")
    for label, value in measured["floor"].items():
        print(f"  {label:32}{value:9.2f}")
    sys.stdout.flush()


def summary(batches, device):
    """Compare the fastest batch size with the goal."""
    best = max(batches, key=lambda measured: measured["prompts_per_second"])
    overhead, seconds = best["overhead_percent"]["observables"], best["projected_seconds"]
    print(
        f"\n{device}: fastest with {best['batch']} prompts at once, {best['prompts_per_second']:.2f} prompts/s; "
        f"{overhead:.1f} % over forward only (goal {GOAL_PERCENT} %), {PAPER_PROMPTS:,} prompts in {seconds:.0f} s "
        f"(goal {GOAL_SECONDS} s on an H200)"
    )
    return {
        "device": device,
        "batch": best["batch"],
        "prompts_per_second": best["prompts_per_second"],
        "overhead_percent": overhead,
        "projected_seconds": seconds,
        "goal_percent": GOAL_PERCENT,
        "goal_seconds": GOAL_SECONDS,
    }


def unless_out_of_memory(function, *args):
    """Return the result of ``function``, or None if it runs out of device memory."""
    try:
        return function(*args)
    except torch.OutOfMemoryError:
        pass  # until here, the traceback keeps the tensors alive
    torch.cuda.empty_cache()
    return None


if __name__ == "__main__":
    main()
