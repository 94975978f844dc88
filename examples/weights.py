"""Weights in Python: audit and scan a checkpoint, quantize it, and say how far the copy is from it.

usage: python examples/weights.py BF16DIR OUTPUT
"""

import sys
from pathlib import Path

from trtnemo.checkpoint import (
    PRESETS,
    AuditReport,
    Checkpoint,
    CheckpointDifference,
    Scan,
    audit,
    compare_checkpoints,
    map_of_patterns,
    quantize_stream,
    scan,
    weight_only,
)
from trtnemo.errors import TrtnemoError


def main(source: Path, output: Path) -> None:
    """Print what is found and written."""
    checkpoint = Checkpoint.open(source)  # reads json files and headers, no weights
    report: AuditReport = audit(checkpoint)
    report.require()  # raises CheckpointError for the first error
    found: Scan = scan(checkpoint)  # every byte
    for finding in found.findings:
        print(f"{finding.severity}: {finding.subject} - {finding.message} [{finding.rule}]")

    wanted = map_of_patterns(checkpoint.config, PRESETS["super"], every=False)
    target, left_plain = weight_only(wanted)  # no scales of inputs are known here
    done = quantize_stream(checkpoint, output, target, report=lambda what, read, total: None)
    print(f"{done.audit.tensors} tensors, {done.audit.bytes:,} bytes, {left_plain} layers left plain")

    beside: CheckpointDifference = compare_checkpoints(checkpoint, Checkpoint.open(output))
    worst = beside.differing[0]
    print(f"the worst: {worst.name}, {worst.snr_db:.1f} dB")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/weights.py BF16DIR OUTPUT")
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except TrtnemoError as error:  # says what, where, and what to do next
        sys.exit(str(error))
