"""How `trtnemo diff` prints two checkpoints."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trtnemo.checkpoint.comparing.compare import CheckpointDifference, TensorDifference

SHOWN = 20


def difference_json(found: CheckpointDifference) -> dict[str, Any]:
    """Return two checkpoints' differences as JSON; where nothing but the format differs, snr_db is null and noise 0."""
    return {
        "same": found.same,
        "compared": found.compared,
        "only_first": list(found.only_first),
        "only_second": list(found.only_second),
        "other_shapes": list(found.other_shapes),
        "unread": list(found.unread),
        "kinds": [
            {"kind": kind, "tensors": len(ones), "snr_db": _json_db(db_of(ones)), "largest": _finite(largest_of(ones))}
            for kind, ones in by_kind(found).items()
        ],
        "tensors": [
            {
                "name": one.name,
                "formats": list(one.formats),
                "elements": one.elements,
                "snr_db": _json_db(one.snr_db),
                "noise": _finite(one.noise),
                "largest": _finite(one.largest),
                "codes_moved": one.codes_moved,
            }
            for one in found.differing
        ],
    }


def print_difference(found: CheckpointDifference) -> None:
    """Print how many tensors differ, by kind and then the worst, and what is in one checkpoint alone."""
    for title, names in (
        ("only in the first", found.only_first),
        ("only in the second", found.only_second),
        ("of another shape", found.other_shapes),
        ("of types that are not compared", found.unread),
    ):
        if names:
            more = f", and {len(names) - 3} more" if len(names) > 3 else ""
            click.echo(f"{len(names)} {title}: {', '.join(names[:3])}{more}")
    if found.same:
        click.echo(f"the same: {found.compared} tensors")
        return
    click.echo(f"{len(found.differing)} of {found.compared} tensors differ")
    for kind, ones in by_kind(found).items():
        click.echo(f"  {kind:<32} {len(ones):>7} tensors  {db_text(db_of(ones)):>9}  largest {largest_of(ones):.3g}")
    if found.differing:
        click.echo("the worst:")
    for one in found.differing[:SHOWN]:
        moved = "" if one.codes_moved is None else f"  {one.codes_moved:,} of {one.elements:,} stored otherwise"
        click.echo(f"  {db_text(one.snr_db):>9}  {' -> '.join(dict.fromkeys(one.formats))}  {one.name}{moved}")
    if len(found.differing) > SHOWN:
        click.echo(f"  ... and {len(found.differing) - SHOWN} more (--json prints all)")


def by_kind(found: CheckpointDifference) -> dict[str, list[TensorDifference]]:
    """Return the tensors that differ by kind of layer, experts together, the worst kind first."""
    kinds: dict[str, list[TensorDifference]] = {}
    for one in found.differing:
        kind = re.sub(r"\.experts\.\d+\.", ".experts.*.", re.sub(r"\.layers\.\d+\.", ".", one.name))
        kinds.setdefault(kind.removesuffix(".weight"), []).append(one)
    return dict(sorted(kinds.items(), key=lambda pair: _rank(db_of(pair[1]))))


def _rank(value: float | None) -> float:
    return -math.inf if value is None else value


def db_of(ones: list[TensorDifference]) -> float | None:
    """Return the signal to noise of tensors together."""
    from trtnemo.checkpoint.comparing.compare import decibels

    return decibels(sum(one.signal for one in ones), sum(one.noise for one in ones))


def largest_of(ones: list[TensorDifference]) -> float:
    """Return the largest difference of tensors."""
    return max(one.largest for one in ones)


def db_text(value: float | None) -> str:
    """Return signal to noise for people."""
    return "no number" if value is None else "equal" if math.isinf(value) else f"{value:.1f} dB"


def _json_db(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
