"""All that tests ask of ModelOpt: one process imports it, torch and transformers once, and forks for each job.

usage: modelopt_session.py SOURCE MIXED OUT     (a BF16 checkpoint, and a mixed one)

ModelOpt patches torch for good, so jobs share no process. OUT gets ModelOpt's exports of SOURCE, `plain` and `mixed`,
our quantized copies, `quantized` and `every-kind`, and what `trtnemo check --modelopt --json` says, `check-tiny.json`
and `check-mixed.json`: [exit code, output].
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import modelopt.torch.export
    import modelopt.torch.quantization.qtensor
    import torch
    from transformers import NemotronHForCausalLM

from tests.support.checkpoints.formats import CALIBRATION, EVERY_KIND, QUANTIZED
from tests.support.checkpoints.plain_export import export
from trtnemo.checkpoint.rewrite.quantize import quantize_checkpoint
from trtnemo.cli import cli
from trtnemo.cli.group import run

IMPORTED = modelopt, torch, NemotronHForCausalLM


def in_a_fork(job: Callable[[], object]) -> None:
    """Run a job in a child, and end where it fails."""
    child = os.fork()
    if child == 0:
        try:
            job()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(1)


def check(checkpoint: str, output: Path) -> None:
    """Write the exit code and the output of `check --modelopt`."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = run(cli, ["check", checkpoint, "--modelopt", "--json"])
    output.write_text(json.dumps([code, said.getvalue()]))


def main() -> None:
    """Run every job, one after the other."""
    source, mixed, output = map(Path, sys.argv[1:4])
    output.mkdir()
    in_a_fork(lambda: export(source, output / "plain", mixed=False))
    in_a_fork(lambda: export(source, output / "mixed", mixed=True))
    in_a_fork(lambda: quantize_checkpoint(source, output / "quantized", QUANTIZED, CALIBRATION))
    in_a_fork(lambda: quantize_checkpoint(source, output / "every-kind", EVERY_KIND, CALIBRATION))
    in_a_fork(lambda: check("tiny", output / "check-tiny.json"))
    in_a_fork(lambda: check(str(mixed), output / "check-mixed.json"))


if __name__ == "__main__":
    main()
