"""What makes a running server count as lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ended", "start", "refused", "stalled", "mute"]


@dataclass(frozen=True)
class Failure:
    """One: its kind, and the evidence in words.

    ended: it ended and nobody asked it to, whatever its code. start: it did not come up. refused: health is not 200.
    stalled: requests run, and nothing moves. mute: it is healthy and gives no token.
    """

    kind: Kind
    text: str
