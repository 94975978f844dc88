"""`trtnemo check`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.options import json_option, print_json, set_option
from trtnemo.cli.pasted import COMMAND_HELP, part_option, pasted_text
from trtnemo.cli.views.audit import audit_json, print_audit, print_repair, print_rules, print_verdict
from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.launch.check import LaunchReport
    from trtnemo.launch.installed.second_opinion import StatedDevice
    from trtnemo.launch.servers.invocation import Invocation
    from trtnemo.recipe import AnyRecipe


@click.command()
@click.argument("checkpoint", required=False)
@click.option("--headers-only", is_flag=True, help="Read headers only: no weights, no scale values.")
@click.option(
    "--modelopt", is_flag=True, help="Also decode sampled weights with ModelOpt's classes, and compare the bits."
)
@click.option("--deep", is_flag=True, help="Also read every byte of every tensor, and judge the values.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="With --deep: also write one HTML page of it."
)
@click.option("--digests", type=click.Path(path_type=Path), metavar="FILE", help="With --deep: list of sha256 of the "
              "weight files, as sha256sum writes it.  [default: what a download of the hub left]")  # fmt: skip
@click.option("--rules", "list_rules", is_flag=True, help="List the rules that a checkpoint is checked by.")
@click.option(
    "--repair", type=click.Path(path_type=Path), metavar="OUT", help="Write a corrected copy, weights linked."
)
@click.option("--source", help="With --repair: the BF16 checkpoint that a missing MTP head or tokenizer is taken from.")
@click.option("--force", is_flag=True, help="Overwrite --repair OUT if it holds a checkpoint.")
@click.option("--recipe", help="Name or path of a recipe.")
@click.option("--command", metavar="TEXT|FILE|-", help=COMMAND_HELP)
@part_option
@click.option("--server-version", help="Version of the command's server, where the text does not say it.")
@click.option(
    "--compute-capability", help="CUDA compute capability of the command's devices, such as 10.0; a recipe says it."
)
@click.option(
    "--installed",
    is_flag=True,
    help="Also ask the installed server: its own parser and configuration, without a GPU, for the recipe's or the "
    "stated device.",
)
@click.option(
    "--server-python", metavar="PATH", help="With --installed: the environment that has the server, or its Python."
)
@click.option("--revision", help="Hub revision: branch, tag or commit.")
@set_option
@json_option
@click.pass_context
def check(
    context: click.Context,
    checkpoint: str | None,
    headers_only: bool,
    modelopt: bool,
    deep: bool,
    html: Path | None,
    digests: Path | None,
    list_rules: bool,
    repair: Path | None,
    source: str | None,
    force: bool,
    recipe: str | None,
    command: str | None,
    part: str | None,
    server_version: str | None,
    compute_capability: str | None,
    installed: bool,
    server_python: str | None,
    revision: str | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check a checkpoint, a recipe or a pasted server command.

    CHECKPOINT is a directory, a hub id, or `tiny`: every tensor and every scale, and with --deep every value; of a hub
    id only the headers are fetched. A recipe or a command is compared with the options of its server's version and with
    known issues, a manifest of Kubernetes with the schemas of its objects. Exits 1 when something is wrong.
    """
    if list_rules:
        print_rules(as_json)
        return
    if sum(given is not None for given in (checkpoint, recipe, command)) != 1:
        raise UsageError("give a CHECKPOINT, --recipe or --command: one of them")
    if checkpoint is None and (headers_only or modelopt or deep or repair is not None or source is not None):
        raise UsageError("--headers-only, --modelopt, --deep, --repair and --source go with a CHECKPOINT")
    if html is not None and not deep:
        raise UsageError("--html draws what --deep reads of a CHECKPOINT", remedy="Add --deep")
    if digests is not None and not deep:
        raise UsageError("--digests goes with --deep, which reads every byte", remedy="Add --deep")
    if (modelopt or deep) and (headers_only or repair is not None):
        reader = "--modelopt" if modelopt else "--deep"
        raise UsageError(f"{reader} reads weights: it goes neither with --headers-only nor with --repair")
    if repair is None and (source is not None or force):
        raise UsageError("--source and --force go with --repair")
    if settings and recipe is None:
        raise UsageError("--set changes a recipe; give --recipe")
    if (installed and checkpoint is not None) or (server_python is not None and not installed):
        raise UsageError("--installed goes with --recipe or --command, and --server-python with --installed")
    if part is not None and command is None:
        raise UsageError("--part names one of the starts in a --command")
    if compute_capability is not None and command is None:
        raise UsageError("--compute-capability goes with a --command; a recipe has hardware.compute_capability")
    if compute_capability is not None and not re.fullmatch(r"\d+\.\d", compute_capability, re.ASCII):
        raise UsageError(
            f"{compute_capability!r} is not a compute capability",
            where="--compute-capability",
            remedy="Give one such as 10.0",
        )
    if checkpoint is not None:
        passed = _check_checkpoint(
            checkpoint, revision, (headers_only, modelopt, deep), (repair, source, force), (html, digests), as_json
        )
    elif recipe is not None:
        passed = _check_recipe(recipe, settings, (installed, server_python), as_json)
    else:
        text, asked = pasted_text(str(command)), (installed, server_python)
        passed = _check_command(text, part, server_version, compute_capability, asked, as_json)
    if not passed:
        context.exit(1)


def _check_checkpoint(
    name: str,
    revision: str | None,
    depth: tuple[bool, bool, bool],
    mending: tuple[Path | None, str | None, bool],
    pages: tuple[Path | None, Path | None],
    as_json: bool,
) -> bool:
    from trtnemo.checkpoint import Checkpoint, audit
    from trtnemo.checkpoint.rewrite.repair import repair_checkpoint

    (headers_only, modelopt, deep), (output, source, force) = depth, mending
    checkpoint = Checkpoint.survey(name, revision)
    if output is not None:
        original = Checkpoint.open(source) if source is not None else None
        repair = repair_checkpoint(checkpoint, output, original, force=force, values=not headers_only)
        print_repair(repair, as_json)
        return repair.after.passed
    if (modelopt or deep) and checkpoint.listing is not None:
        reader = "--modelopt" if modelopt else "--deep"
        raise UsageError(f"{reader} reads weights, and only the headers were fetched", remedy="`trtnemo fetch` has all")
    if deep:
        from trtnemo.cli.weights.deep import audit_deep

        report = audit_deep(checkpoint, modelopt, *pages)
    else:
        report = audit(checkpoint, values=not headers_only, with_modelopt=modelopt)
    if as_json:
        print_json(audit_json(report))
    else:
        print_audit(report)
    return report.passed


def _check_recipe(name: str, settings: Sequence[str], asked: tuple[bool, str | None], as_json: bool) -> bool:
    from trtnemo.launch.check import check_recipe
    from trtnemo.launch.from_recipe import to_invocation
    from trtnemo.recipe import ExternalRecipe, load_recipe

    recipe = load_recipe(name, settings)
    if not isinstance(recipe, ExternalRecipe):
        if asked[0]:
            raise UsageError(f"runtime '{recipe.runtime}' is our own: there is no other server to ask")
        return _check_own(recipe, as_json)
    invocation = to_invocation(recipe)
    report = check_recipe(invocation, recipe)
    if asked[0]:
        from trtnemo.launch.installed.stated import stated_for_recipe

        report = _with_opinion(report, invocation, stated_for_recipe(recipe, invocation), asked[1])
    return _tell(report, as_json)


def _check_command(
    text: str,
    part: str | None,
    version: str | None,
    compute_capability: str | None,
    asked: tuple[bool, str | None],
    as_json: bool,
) -> bool:
    from trtnemo.launch.check import check_invocation, with_findings
    from trtnemo.launch.manifests.validate import findings_of_text
    from trtnemo.launch.pasted.command import between_halves, read_command

    invocation = read_command(text, version, part)
    of_the_text = [*findings_of_text(text), *between_halves(text, version)]
    report = with_findings(check_invocation(invocation, compute_capability), of_the_text)
    if asked[0]:
        from trtnemo.launch.installed.stated import stated_by_capability

        report = _with_opinion(report, invocation, stated_by_capability(compute_capability, invocation), asked[1])
    return _tell(report, as_json)


def _with_opinion(
    report: LaunchReport, invocation: Invocation, stated: tuple[StatedDevice, str], python: str | None
) -> LaunchReport:
    """Return a report with what the installed server says of the start, on a stated device and its name."""
    from trtnemo.launch.check import with_opinion
    from trtnemo.launch.installed.second_opinion import ask_installed

    device, title = stated
    return with_opinion(report, ask_installed(invocation, device, python), title)


def _tell(report: LaunchReport, as_json: bool) -> bool:
    from trtnemo.launch.check import report_json

    if as_json:
        print_json(report_json(report))
    else:
        _print_launch(report)
    return report.passed


def _check_own(recipe: AnyRecipe, as_json: bool) -> bool:
    """Check a recipe of our own runtimes; raises RecipeError or MachineError for what cannot work."""
    from trtnemo.engine.own import check_own

    checked = check_own(recipe)
    if as_json:
        found: dict[str, Any] = {"passed": True, "server": recipe.runtime, "model": recipe.checkpoint, "findings": []}
        print_json({**found, "checked": list(checked)})
    else:
        click.echo(f"{recipe.checkpoint}: {checked[0]}")
        for sentence in checked[1:]:
            click.echo(f"  {sentence}")
        print_verdict(True, ())
    return True


def _print_launch(report: LaunchReport) -> None:
    click.echo(f"{report.model}: checked against {report.checked_against}\nrecord: {report.evidence}")
    counts = [_counted(number, *_COUNTED[what]) for what, number in report.read.items() if number]
    click.echo(f"read as {report.form}: {', '.join(counts) or 'no option'}")
    if len(report.witnesses) > 1:
        click.echo(f"asked: {'; '.join(report.witnesses)}")
    for finding in report.findings:
        click.secho(f"{finding.severity}: {finding.subject} [{finding.rule}]", bold=True)
        click.echo(f"  {finding.message}")
        if finding.remedy:
            click.echo(f"  -> {finding.remedy}")
    print_verdict(report.passed, (finding.severity for finding in report.findings), report.unread)


_COUNTED = {
    "options": ("option", "options"),
    "variables": ("variable", "variables"),
    "file_keys": ("key of its file", "keys of its file"),
}


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
