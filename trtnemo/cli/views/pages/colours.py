"""Colours of numbers: viridis, which orders by lightness too, so that the colour-blind and a grey print can read it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

_VIRIDIS = ("440154", "482475", "414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26",
            "fde725")  # matplotlib's, at tenths  # fmt: skip
LEVELS = 64
_FAR = 100.0  # times the middle value: beyond, a value has the colour of the end, so that one does not hide all others


def colour(place: float) -> tuple[int, int, int]:
    """Return the red, green and blue of a place from 0 to 1, rounded to one of LEVELS."""
    exact = round(min(max(place, 0.0), 1.0) * (LEVELS - 1)) / (LEVELS - 1) * (len(_VIRIDIS) - 1)
    left = min(int(exact), len(_VIRIDIS) - 2)
    ends = [bytes.fromhex(_VIRIDIS[number]) for number in (left, left + 1)]
    red, green, blue = (round(a + (b - a) * (exact - left)) for a, b in zip(*ends, strict=True))
    return red, green, blue


def hex_colour(place: float) -> str:
    """Return a place's colour as a style has it."""
    return "#{:02x}{:02x}{:02x}".format(*colour(place))


@dataclass(frozen=True)
class ColourScale:
    """The values at both ends of the colours; is_cut: whether values lie beyond (below, above)."""

    low: float
    high: float
    is_log: bool = False
    is_cut: tuple[bool, bool] = (False, False)

    @classmethod
    def ratio(cls, values: Iterable[float]) -> ColourScale:
        """Return a logarithmic scale around the middle value, from half to twice of it at least."""
        above = [value for value in values if value > 0 and math.isfinite(value)] or [1.0]
        middle, least, most = median(above), min(above), max(above)
        low, high = max(min(least, middle / 2), middle / _FAR), min(max(most, middle * 2), middle * _FAR)
        return cls(low, high, is_log=True, is_cut=(least < low, most > high))

    @classmethod
    def share(cls, values: Iterable[float], least: float) -> ColourScale:
        """Return a linear scale from 0 to the largest share, and to `least` where all are below it."""
        return cls(0.0, max(max(values, default=0.0), least))

    @classmethod
    def decibels(cls, values: Iterable[float]) -> ColourScale:
        """Return a linear scale of 10 dB at least, that ends 40 dB from the middle value."""
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        middle, least, most = median(finite), min(finite), max(finite)
        room = max(10 - (most - least), 0) / 2
        low, high = max(least - room, middle - 40), min(most + room, middle + 40)
        return cls(low, high, is_cut=(least < low, most > high))

    def place(self, value: float) -> float:
        """Return where a value lies, from 0 to 1; what is not above zero lies at the low end of a logarithmic scale."""
        if self.is_log:
            bounded = min(max(value, self.low), self.high)
            return math.log(bounded / self.low) / math.log(self.high / self.low)
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def at(self, place: float) -> float:
        """Return the value at a place from 0 to 1."""
        if self.is_log:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + (self.high - self.low) * place
