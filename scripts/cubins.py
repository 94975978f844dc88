"""Compile every kernel of the released models at full width for every target, and print the tables of docs/cuda.md.

Exits 1 where a kernel spills registers and is not listed with a reason, where a step launches more kernels than it may,
and where a weight takes more instructions.

usage: make cubins      (needs everything that `make test` installs; no GPU, no weights)
       python -m scripts.cubins [--target 9.0 ...]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from trtnemo.backends.cuda.compile import compile_kernels
from trtnemo.backends.cuda.kernel_index import KernelIndex
from trtnemo.backends.cuda.product import Factor, Norm, multiply
from trtnemo.backends.cuda.request import CompileRequest
from trtnemo.backends.cuda.runtime import limits_of
from trtnemo.checkpoint import WeightFormat
from trtnemo.graph import ParameterSpec
from trtnemo.kernels.ahead import TARGETS, Capability, compiling_for
from trtnemo.kernels.family import family_of
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.weight import empty_weight
from trtnemo.network import NemotronH
from trtnemo.network.pretrained import BuildContext
from trtnemo.plan.network import find_network
from trtnemo.recipe import CudaRecipe, load_recipe

RECIPES = ("h200-cuda", "h100-cuda")  # Super with its MTP head, and Nano
# kernel -> why it may spill where only prompts launch it, whose time is the products'
MAY_SPILL = {
    "scan_kernel": "a head's whole state and a chunk's products are in registers",
    "product_kernel": "32 rows; a decode step's 16 do not spill",
    "attention_kernel": "32 rows of queries and their sums",
}
MOST_LAUNCHES = {"h200-cuda": 360, "h100-cuda": 215}  # of a decode step, the embedding's copy of rows not counted
# instructions of the inner loop a weight, plain: the best plain forms that were tried before these kernels
MOST_INSTRUCTIONS = {WeightFormat.PLAIN: 2.2, WeightFormat.FP8: 2.9, WeightFormat.NVFP4: 4.2}
META = torch.device("meta")
_JUMP = re.compile(r"BRA\S*\s.*?(\.L_x?_?\w+)")


def compiled(recipe: CudaRecipe, capability: Capability) -> tuple[KernelIndex, float]:
    """Return the index of a recipe's kernels for a target, and seconds."""
    network = find_network(recipe.checkpoint)
    model = NemotronH(BuildContext(network.config, network.quantization, "weight_only"))
    graphs = [model.record_target(), *([model.record_mtp()] if recipe.speculation.draft_tokens else [])]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        request = CompileRequest(
            graphs=[graph.to_json() for graph in graphs],
            limits=limits_of(recipe),
            capability=capability,
            directory=directory,
        )
        return compile_kernels(request, lambda line: None), time.monotonic() - started


def print_kernels(name: str, targets: list[Capability]) -> list[str]:
    """Print a row per target; return what spills without a reason."""
    recipe, problems = load_recipe(name), []
    if not isinstance(recipe, CudaRecipe):
        raise TypeError(name)
    print(f"\n### `{name}`: {recipe.checkpoint.rpartition('/')[2]}\n")
    print("| target | kernels | cubins | most registers | spilled bytes a thread | launches: decode, draft | seconds |")
    print("|---|---|---|---|---|---|---|")
    for capability in targets:
        index, seconds = compiled(recipe, capability)
        spills = Counter[tuple[str, str]]()
        for kernel in index.kernels:
            spills[kernel.kernel, kernel.phase] = max(spills[kernel.kernel, kernel.phase], kernel.spilled)
        spills = +spills
        told = ", ".join(f"{kernel} of a {phase} {spilled}" for (kernel, phase), spilled in spills.items()) or "none"
        size = sum(kernel.nbytes for kernel in index.kernels) / 1e6
        launches = f"{index.launches['decode 1']}, {index.launches.get('draft 1', '-')}"
        most = max(kernel.registers for kernel in index.kernels)
        target = f"{capability[0]}.{capability[1]}"
        print(f"| {target} | {len(index.kernels)} | {size:.1f} MB | {most} | {told} | {launches} | {seconds:.0f} |")
        problems += [
            f"{name} {target}: {kernel} of a {phase} spills {spilled} bytes"
            for (kernel, phase), spilled in spills.items()
            if phase == "decode" or kernel not in MAY_SPILL
        ]
        if index.launches["decode 1"] > MOST_LAUNCHES[name]:
            problems.append(f"{name} {target}: a decode step launches {index.launches['decode 1']} kernels")
    return problems


def print_instructions(targets: list[Capability]) -> list[str]:
    """Print how many instructions of the inner loop a weight takes, by format; return which take too many."""
    problems = []
    print("\n### Instructions a weight, 4096 x 4096, up to 16 rows: plain, and with a norm in front\n")
    print("| target | BF16 | FP8 | NVFP4 |")
    print("|---|---|---|---|")
    for capability in targets:
        cells = []
        for form in (WeightFormat.PLAIN, WeightFormat.FP8, WeightFormat.NVFP4):
            plain, normed = (_instructions(capability, form, norm) for norm in (False, True))
            cells.append(f"{plain:.1f} / {normed:.1f}")
            if plain > MOST_INSTRUCTIONS[form]:
                problems.append(f"{capability}: a {form.name} weight takes {plain:.1f} instructions")
        print(f"| {capability[0]}.{capability[1]} | {' | '.join(cells)} |")
    return problems


def _instructions(capability: Capability, form: WeightFormat, norm: bool) -> float:
    launch = Launcher(META, family_of(capability))
    weight = empty_weight(ParameterSpec(name="w.weight", shape=(4096, 4096), format=form), META)
    dtype = torch.float32 if norm else torch.bfloat16
    front = Norm(torch.empty(4096, device=META), 1e-5) if norm else None
    with tempfile.TemporaryDirectory() as directory:
        with compiling_for(capability, Path(directory)):
            multiply(launch, Factor(torch.empty(4, 4096, dtype=dtype, device=META), weight), norm=front)
        (kernel,) = launch.kernels.values()
        threads = 32 * launch.warps
        return _loop_length(kernel.asm["cubin"], Path(directory)) * threads / (64 * weight.columns)


def _loop_length(code: bytes, directory: Path) -> int:
    """Return the instructions of the longest loop."""
    from triton import knobs

    (directory / "kernel.cubin").write_bytes(code)
    told = subprocess.run(
        [str(knobs.nvidia.nvdisasm.path), "-c", str(directory / "kernel.cubin")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    labels: dict[str, int] = {}
    longest = count = 0
    for line in told.splitlines():
        if match := re.match(r"\s*(\.L_x?_?\w+):", line):
            labels[match[1]] = count
        elif match := re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?);", line):
            count += 1
            jump = _JUMP.search(match[1].replace("`(", "").replace(")", ""))
            if jump and jump[1] in labels:
                longest = max(longest, count - labels[jump[1]])
    return longest


def main() -> None:
    """Read the arguments, print, and exit 1 on what is beyond its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", help="compute capability, such as 9.0; all without it")
    given = parser.parse_args()
    targets = [tuple(map(int, text.split("."))) for text in given.target or []] or list(TARGETS)
    problems = [problem for name in RECIPES for problem in print_kernels(name, targets)]  # type: ignore[arg-type]
    problems += print_instructions(targets)  # type: ignore[arg-type]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
