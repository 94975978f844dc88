"""Where the repository's own files are, for tests wherever they lie."""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
CHECKPOINTS = SUPPORT / "checkpoints"
CARD = SUPPORT / "launch" / "card"
STAND_IN = SUPPORT / "launch" / "stand_in.py"
