"""Compile every plan of the released models at full width, and print the tables of docs/gpu.md as Markdown.

usage: make gpu-table      (needs everything that `make test` installs; no GPU, no weights)
"""

from __future__ import annotations

import resource
import time

from trtnemo.backends.tensorrt.lower.emit import emit
from trtnemo.backends.tensorrt.lower.networks import plan_networks
from trtnemo.backends.tensorrt.lower.record import PlanRecord
from trtnemo.backends.tensorrt.lower.settings import DECODE_ROWS, Settings
from trtnemo.backends.tensorrt.lower.targets import read_capability
from trtnemo.launch.plan_input import to_deployment
from trtnemo.network import NemotronH
from trtnemo.network.pretrained import BuildContext
from trtnemo.plan.hardware import find_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import make_plan
from trtnemo.recipe import TensorrtRecipe, load_recipe
from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.library import find_library

RECIPES = ("rtx-pro-6000", "dgx-spark-tensorrt", "rtx-5090")


def build_all(recipe: TensorrtRecipe) -> list[PlanRecord]:
    """Return the record of every plan of a recipe's network, weights unread."""
    network = find_network(recipe.checkpoint)
    model = NemotronH(BuildContext(network.config, network.quantization, recipe.tensorrt.compute))
    graphs = [model.record_target()] + ([model.record_mtp()] if recipe.speculation.draft_tokens else [])
    settings = Settings.from_recipe(recipe)
    builder = PlanBuilder(find_library(), read_capability(recipe))
    records = []
    for spec in plan_networks(graphs, {}, settings)[0].values():
        net, record = emit(spec, settings, builder)
        started = time.monotonic()
        plan = builder.build(net.network, spec.profile(net, settings))
        update = {
            "plan_bytes": len(plan),
            "activation_bytes": builder.activation_bytes,
            "seconds": time.monotonic() - started,
        }
        records.append(record.model_copy(update=update))
    return records


def print_plans(name: str, recipe: TensorrtRecipe, records: list[PlanRecord]) -> None:
    """Print a row per plan."""
    limits = recipe.limits
    print(f"### `{name}`: {recipe.checkpoint.rpartition('/')[2]}, compute capability {read_capability(recipe)}\n")
    rows = recipe.tensorrt.prefill_rows
    print(f"{limits.max_batch_size} slots of {limits.max_seq_len:,} tokens, prompts {rows} rows at a time.\n")
    print("| kind | phase | layers | read, 1 token | read, 8 tokens | activation | plan | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for record in records:
        one, eight = (f"{record.bytes_read(rows) / 1e6:,.1f} MB" for rows in (1, DECODE_ROWS))
        print(
            f"| {record.kind} | {record.phase} | {len(record.paths)} | {one} | {eight} "
            f"| {record.activation_bytes / 1e6:,.1f} MB | {record.plan_bytes / 1e6:,.1f} MB | {record.seconds:.2f} |"
        )
    largest = max(records, key=lambda record: record.activation_bytes)
    print(
        f"\n{len(records)} plans, {sum(record.seconds for record in records):.1f} s, "
        f"{sum(record.plan_bytes for record in records) / 1e6:,.1f} MB; shared scratch memory "
        f"{largest.activation_bytes / 1e6:,.1f} MB ({largest.kind}, {largest.phase}).\n"
    )


def read_in_step(record: PlanRecord, path: str, drafts: int) -> int:
    """Return the bytes of weights that one layer's plan reads in a step of one sequence, its drafts included."""
    if record.phase != "decode" or record.kind == "advance":
        return 0
    if path.startswith("mtp."):
        return drafts * record.bytes_read(1)
    again = drafts * record.bytes_read(1) if record.kind == "logits" else 0
    return record.bytes_read(drafts + 1) + again


def print_rate(name: str, recipe: TensorrtRecipe, records: list[PlanRecord]) -> None:
    """Print what one sequence can have at best, and the bytes that plans read beside those of the roofline."""
    network, device = find_network(recipe.checkpoint), find_device(recipe.hardware.name)
    plan = make_plan(network, to_deployment(recipe, network), device)
    speed = next(speed for speed in plan.decode if speed.batch == 1)
    drafts = recipe.speculation.draft_tokens
    read = sum(read_in_step(record, path, drafts) for record in records for path in record.paths)
    print(
        f"| `{name}` | {device.title} | {device.bandwidth / 1e9:,.0f} GB/s | {drafts} | {read / 1e9:.2f} GB "
        f"| {speed.weight_bytes / 1e9:.2f} GB | {speed.seconds * 1e3:.2f} ms | {speed.tokens_per_second:,.0f} |"
    )


def main() -> None:
    """Print every table."""
    built = []
    for name in RECIPES:
        recipe = load_recipe(name)
        if not isinstance(recipe, TensorrtRecipe):
            raise SystemExit(f"{name} is not a recipe of runtime tensorrt")
        built.append((name, recipe, build_all(recipe)))
    for name, recipe, records in built:
        print_plans(name, recipe, records)
    print("| recipe | device | bandwidth | drafts | plans read | roofline reads | step | tokens/s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, recipe, records in built:
        print_rate(name, recipe, records)
    print(f"\npeak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
