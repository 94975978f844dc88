"""`trtnemo inspect`."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.cli.views.cuda_kernels import print_kernels, read_kernel_index
from trtnemo.cli.views.tensorrt_plans import print_plans

if TYPE_CHECKING:
    from trtnemo.backends.tensorrt.lower.index import PlanIndex

_BUNDLE_KEYS = ("server_version", "image", "command", "container", "env", "checked_against", "findings")
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
    from trtnemo.engine.manifest import Manifest, read_manifest
    from trtnemo.errors import EngineError

    manifest = read_manifest(engine)
    problems = verify_files(engine, manifest, thorough=verify)
    is_engine = isinstance(manifest, Manifest)
    opened = Engine.open(engine) if is_engine and not problems else None
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
    plans = _read_plans(engine) if manifest.runtime == "tensorrt" and not problems else None
    if plans is not None:
        summary["plans"] = plans.summary()
    kernels = None if problems else read_kernel_index(engine)
    if kernels is not None:
        summary["kernels"] = kernels.summary()
    if not isinstance(manifest, Manifest):
        summary |= manifest.model_dump(include=set(_BUNDLE_KEYS))
    if as_json:
        print_json(summary)
    elif is_engine:
        _print(summary)
        if plans is not None:
            _print_tensors(plans)
        if kernels is not None:
            print_kernels(kernels)
    else:
        _print_bundle(summary)
    if problems:
        context.exit(EngineError.exit_code)


def _read_plans(engine: Path) -> PlanIndex:
    from trtnemo.backends.tensorrt.plans import read_index

    return read_index(engine)


def _print_tensors(index: PlanIndex) -> None:
    """Print every plan: its layers, and its tensors with what their dynamic lengths may be."""
    print_plans(index)
    for plan in index.plans:
        sizes = index.settings.sizes(plan.phase)
        click.echo(f"\n{plan.name}: {', '.join(plan.paths)}")
        for way, specs in (("in", plan.inputs), ("out", plan.outputs)):
            for spec in specs:
                dims = ", ".join(map(str, spec.dims))
                click.echo(f"  {way:<4}{spec.name:<44}{spec.element.value:<10}[{dims}] {spec.source}")
        words = {dim for spec in plan.inputs for dim in spec.dims if isinstance(dim, str)}
        for word in sorted(words):
            least, best, most = sizes[word]
            click.echo(f"  {word}: {least} to {most}, built for {best}")


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
    _print_lines(lines, summary["problems"])


def _print_bundle(summary: dict[str, Any]) -> None:
    checkpoint = summary["checkpoint"]
    audited = "audited" if checkpoint["audited"] else f"not audited: {checkpoint['reason']}"
    env = ", ".join(name if value is None else f"{name}={value}" for name, value in summary["env"].items())
    lines = {
        "bundle": summary["engine"],
        "runtime": f"{summary['runtime']} {summary['server_version'] or '(image not read)'}",
        "recipe": summary["recipe"],
        "checkpoint": f"{checkpoint['name']} ({audited})",
        "image": summary["image"] or "none",
        "command": " ".join(map(shlex.quote, summary["command"])),
        "variables": env or "none",
        "checked": f"against {summary['checked_against']}: {len(summary['findings'])} findings",
        "files": f"{summary['files']}, {summary['bytes']:,} bytes ({summary['verified']})",
        "problems": "none" if not summary["problems"] else "",
    }
    _print_lines(lines, summary["problems"])
    for finding in summary["findings"]:
        click.echo(f"  {finding['severity']}: {finding['subject']} [{finding['rule']}]")


def _print_lines(lines: dict[str, str], problems: list[str]) -> None:
    for name, text in lines.items():
        click.echo(f"{name + ':':<12} {text}")
    for problem in problems:
        click.echo(f"  - {problem}")
