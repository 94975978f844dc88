"""What the driver says of the GPUs when a server is lost: recovery actions, and Xid errors where they can be read."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

_PATIENCE = 5.0
_XID = re.compile(r"NVRM: Xid \((?P<bus>[^)]*)\): (?P<number>\d+)")
_QUERY = ["nvidia-smi", "--query-gpu=index,gpu_recovery_action", "--format=csv,noheader"]
_KERNEL = ["journalctl", "--dmesg", "--since", "-10min", "--no-pager", "--output", "cat"]
# NVIDIA's Xid catalogue, and its health validation for GB200; of others only the number is told
_ADVICE = {
    8: "the GPU stopped processing: the server is started again",
    46: "the GPU stopped processing: drain it, and reset it",
    48: "double-bit ECC error: drain the GPU, and reset it",
}
Run = Callable[[list[str]], str]


def gpu_evidence(run: Run | None = None) -> list[str]:
    """Return sentences on GPUs that need more than a new start of the server; none where nothing can be read."""
    ask = run or _output
    return [*_actions(ask(_QUERY)), *_errors(ask(_KERNEL))]


def _actions(text: str) -> Iterator[str]:
    for line in text.splitlines():
        index, comma, action = (part.strip() for part in line.partition(","))
        if comma and index.isdecimal() and action and not action.startswith(("None", "[")):
            yield f"GPU {index}: the driver asks for {action!r}; a new start of the server does not mend that"


def _errors(text: str) -> Iterator[str]:
    seen: dict[tuple[str, int], None] = {}
    for match in _XID.finditer(text):
        seen[(match["bus"], int(match["number"]))] = None
    for bus, number in seen:
        advice = _ADVICE.get(number, "see NVIDIA's catalogue of Xid errors")
        yield f"Xid {number} on {bus}: {advice}"


def _output(command: list[str]) -> str:
    """Return what a program prints, nothing where it is not here, refuses, or hangs as a lost GPU makes it."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
