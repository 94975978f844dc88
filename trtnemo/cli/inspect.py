"""`trtnemo inspect`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from trtnemo.cli.options import json_option, print_json

_HEADS: dict[bool | None, str] = {True: "MTP", False: "none"}


@click.command()
@click.argument("engine", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Hash every file and compare with the build.")
@json_option
@click.pass_context
def inspect(context: click.Context, engine: Path, verify: bool, as_json: bool) -> None:
    """Show what an engine is made of, and verify its files.

    Exits 5 when the engine is damaged.
    """
    from trtnemo.engine import Engine, verify_files
    from trtnemo.engine.manifest import read_manifest
    from trtnemo.errors import EngineError

    manifest = read_manifest(engine)
    problems = verify_files(engine, manifest, thorough=verify)
    opened = None if problems else Engine.open(engine)
    summary: dict[str, Any] = {
        "engine": str(engine),
        "runtime": manifest.runtime,
        "layout": manifest.layout,
        "recipe": manifest.recipe_name,
        "checkpoint": manifest.checkpoint.model_dump(),
        "versions": manifest.versions,
        "bytes": sum(record.size for record in manifest.files.values()),
        "files": len(manifest.files),
        "verified": "all files hashed" if verify else "small files hashed, sizes of all compared",
        "problems": problems,
    }
    if opened is not None:
        summary["ops"] = dict(Counter(node.op.kind for node in opened.target.nodes))
        summary["has_mtp"] = opened.mtp is not None
        summary["served_model_names"] = list(opened.recipe.served_model_names)
    if as_json:
        print_json(summary)
    else:
        _print(summary)
    if problems:
        context.exit(EngineError.exit_code)


def _print(summary: dict[str, Any]) -> None:
    checkpoint = summary["checkpoint"]
    formats = ", ".join(f"{count} {name}" for name, count in checkpoint["formats"].items())
    lines = {
        "engine": summary["engine"],
        "runtime": f"{summary['runtime']}, weights in layout {summary['layout']}",
        "recipe": summary["recipe"],
        "checkpoint": f"{checkpoint['name']} ({checkpoint['tensors']} tensors, {checkpoint['bytes']:,} bytes)",
        "weights": formats,
        "ops": ", ".join(f"{count} {kind}" for kind, count in summary.get("ops", {}).items()) or "not read",
        "draft head": _HEADS.get(summary.get("has_mtp"), "not read"),
        "files": f"{summary['files']}, {summary['bytes']:,} bytes ({summary['verified']})",
        "problems": "none" if not summary["problems"] else "",
    }
    for name, text in lines.items():
        click.echo(f"{name + ':':<12} {text}")
    for problem in summary["problems"]:
        click.echo(f"  - {problem}")
