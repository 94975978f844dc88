"""A PNG of few colours as a data URI: experts by the ten thousand, where an element each would be megabytes."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

from trtnemo.cli.views.pages.colours import LEVELS, colour

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def data_uri(rows: Sequence[Sequence[float | None]]) -> str:
    """Return places from 0 to 1 as pixels of their colours, what is None transparent; all rows are equally long."""
    lines = b"".join(b"\0" + bytes(_index(place) for place in row) for row in rows)
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)  # eight bits, a palette
    palette = b"\0\0\0" + b"".join(bytes(colour(level / (LEVELS - 1))) for level in range(LEVELS))
    pixels = zlib.compress(lines, 9)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"tRNS", b"\0"), (b"IDAT", pixels), (b"IEND", b""))
    return "data:image/png;base64," + base64.b64encode(_SIGNATURE + b"".join(_chunk(*part) for part in parts)).decode()


def _index(place: float | None) -> int:
    return 0 if place is None else 1 + round(min(max(place, 0.0), 1.0) * (LEVELS - 1))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
