"""Every kernel that an engine's steps launch, compiled for a device that is not here.

It runs in a process of its own: Triton decides once in a process whether kernels are compiled or interpreted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from trtnemo.backends.cuda.kernel_index import KernelIndex, KernelRecord
from trtnemo.backends.cuda.request import CompileRequest
from trtnemo.errors import EngineError, TrtnemoError
from trtnemo.kernels.mode import require_triton

Told = Callable[[str], None]


def compile_kernels(request: CompileRequest, told: Told) -> KernelIndex:
    """Return the index of what a child process compiled; raises MachineError without Triton, EngineError."""
    require_triton()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    command = [sys.executable, "-m", "trtnemo.backends.cuda.compile"]
    with (
        tempfile.TemporaryFile("w+") as complaints,  # a pipe that nobody empties would hold the child up
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True, env=environment
        ) as process,
    ):
        if process.stdin is None or process.stdout is None:
            raise EngineError("the compiling process has no pipes")
        process.stdin.write(request.model_dump_json())
        process.stdin.close()
        last = ""
        for line in process.stdout:
            last = line
            if line.startswith("step "):
                told(line.strip())
        process.wait()
        complaints.seek(0)
        problem = complaints.read().strip()
    if process.returncode or not last.startswith("{"):
        why = problem.splitlines()[-1] if problem else f"exit code {process.returncode}"
        raise EngineError(f"kernels did not compile: {why}", remedy="Compare with the versions that docs/cuda.md names")
    return KernelIndex.model_validate_json(last)


def compile_here(request: CompileRequest, told: Told) -> KernelIndex:
    """Compile in this process; raises MachineError where it interprets its kernels."""
    import torch
    import triton

    from trtnemo.backends.cuda.make import make_executor, make_launcher
    from trtnemo.backends.cuda.steps.dry import dry_draw, dry_replay, dry_step
    from trtnemo.backends.cuda.weights import empty_weights
    from trtnemo.backends.executor import Budget
    from trtnemo.graph import Graph
    from trtnemo.kernels.ahead import compiling_for, describe
    from trtnemo.plugins import load_forms

    load_forms("op")  # a graph is read by the ops that are defined
    graphs = [Graph.from_json(graph) for graph in request.graphs]
    limits, meta = request.limits, torch.device("meta")
    launch = make_launcher(meta, request.capability, limits)
    vocabulary = graphs[0].values[graphs[0].outputs["logits"]].width
    budget = Budget(limits.slots, limits.max_seq_len, limits.max_num_tokens, limits.draft_tokens, vocabulary)
    weights = empty_weights(graphs, meta, fp8_drafts=limits.fp8_drafts)
    executor = make_executor(graphs, weights, launch, limits, budget)
    launches: dict[str, int] = {}
    decodes: set[str] = set()
    with compiling_for(request.capability, Path(request.directory)):
        for name, number, lengths, position in _steps(request):
            told(f"step {name}")
            verify = name.startswith("verify")
            launches[name] = dry_step(executor, graphs[number], lengths, position, verify=verify)
            if not name.startswith("prompt"):
                decodes.update(launch.kernels)
        dry_replay(executor)
        for number, graph in enumerate(graphs):
            told(f"step draw {number}")
            before = set(launch.kernels)
            dry_draw(executor, graph, 1)
            decodes.update(set(launch.kernels) - before)
    records = [
        KernelRecord(phase="decode" if name in decodes else "prompt", **vars(describe(compiled)))
        for name, compiled in launch.kernels.items()
    ]
    records.sort(key=lambda record: (record.kernel, record.digest))
    capability = f"{request.capability[0]}.{request.capability[1]}"
    return KernelIndex(
        triton=triton.__version__, compute_capability=capability, launches=launches, kernels=tuple(records)
    )


def _steps(request: CompileRequest) -> Iterator[tuple[str, int, list[int], int]]:
    """Yield (name, graph's number, tokens of each sequence, tokens before them) of all kinds of steps.

    Kernels differ by powers of two of what a step holds, and by whether a sequence is longer than one span of keys.
    """
    limits = request.limits
    far = min(limits.max_seq_len - 64, 5000)
    rows = limits.draft_tokens + 1
    for count in [1 << power for power in range(limits.slots.bit_length())]:
        yield f"decode {count}", 0, [1] * count, 100
        if rows > 1:
            yield f"verify {count} x {rows}", 0, [rows] * count, 100
            yield f"draft {count}", 1, [1] * count, 100
    yield "decode 1, far", 0, [1], far
    if rows > 1:
        yield f"verify 1 x {rows}, far", 0, [rows], far
        yield "draft 1, far", 1, [1], far
    for tokens in (32, 512, limits.max_num_tokens):
        if tokens <= limits.max_num_tokens:
            yield f"prompt of {tokens}", 0, [tokens], 0
            if rows > 1:
                yield f"prompt of {tokens}, draft head", 1, [tokens], 0


def main() -> None:
    """Read a request from standard input; print steps, then the index as one line of JSON."""
    request = CompileRequest.model_validate_json(sys.stdin.read())
    try:
        index = compile_here(request, lambda line: print(line, flush=True))
    except TrtnemoError as error:
        raise SystemExit(error.render()) from None
    print(json.dumps(index.model_dump(mode="json")))


if __name__ == "__main__":
    main()
