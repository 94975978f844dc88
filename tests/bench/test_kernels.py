"""The profile of CUDA kernels, over the interpreter."""

from __future__ import annotations

from typing import Any

from tests.support.backends.executors import make_cuda
from trtnemo.bench.kernels import profile_executor
from trtnemo.cli.views.kernel_profile import print_kernel_profile


def test_every_kernel_of_a_step_is_counted_and_timed(make_checkpoint: Any, capsys: Any) -> None:
    executor = make_cuda(make_checkpoint("bf16", "least"), slots=1, max_seq_len=64, mtp=False)
    found = profile_executor(executor, prompt=9, tokens=1)
    launches = {cost.name: cost.launches for cost in found.decode}
    assert launches["step_kernel"] == 1
    assert launches["attention_kernel"] == 1
    assert launches["experts_kernel"] == 2
    assert "scan_kernel" in {cost.name for cost in found.prefill}
    assert all(cost.seconds > 0 for cost in (*found.decode, *found.prefill))
    assert executor.runner.watch is None
    print_kernel_profile(found)
    said = capsys.readouterr().out
    assert "say nothing about a GPU" in said
    assert "scan_kernel" in said
