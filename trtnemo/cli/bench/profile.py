"""`trtnemo bench profile`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import json_option, print_json, require_interpreted
from trtnemo.errors import MachineError

if TYPE_CHECKING:
    from trtnemo.bench.profile import OpCost, ProductRates, Profile
    from trtnemo.engine import Engine


@click.command()
@click.argument("engine", type=click.Path(path_type=Path))
@click.option(
    "--prompt", type=click.IntRange(1), default=512, show_default=True, help="Tokens of the prefilled prompt."
)
@click.option("--tokens", type=click.IntRange(1), default=64, show_default=True, help="Tokens decoded after it.")
@click.option("--interpret", is_flag=True, help="Compute CUDA kernels on this CPU: times of the interpreter, no GPU's.")
@json_option
def profile(engine: Path, prompt: int, tokens: int, interpret: bool, as_json: bool) -> None:
    """Show where a token's time goes, by op, or by kernel on a GPU.

    On a CPU, beside each op's time stand the bytes that it reads and the products that it needs, and what they come to:
    bytes a second against the bandwidth that this machine gives, and products a second. On a GPU, beside the kernels
    stands the time of a step as it is served, captured.
    """
    from trtnemo.engine import Engine

    opened = Engine.open(engine)
    if interpret:
        require_interpreted(opened.manifest.runtime)
    prompt = _fitting(opened, prompt, tokens)
    if opened.manifest.runtime == "cuda":
        from trtnemo.bench.kernels import profile_kernels
        from trtnemo.cli.views.kernel_profile import print_kernel_profile

        kernels = profile_kernels(opened, prompt, tokens, interpret=interpret)
        print_json(dataclasses.asdict(kernels)) if as_json else print_kernel_profile(kernels)
        return
    from trtnemo.bench.profile import profile_engine

    found = profile_engine(opened, prompt, tokens)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        _print(found)


def _fitting(engine: Engine, prompt: int, tokens: int) -> int:
    """Return how long the prompt will be, and say so where it is shorter than asked.

    Raises MachineError, before weights are read, for engines that are not profiled and where no prompt fits.
    """
    from trtnemo.bench.profile import fitting_prompt
    from trtnemo.runtime.load import budget_of

    is_cuda = engine.manifest.runtime == "cuda"
    if not is_cuda and not engine.is_packed:
        raise MachineError(
            "only engines of native code are profiled, on a CPU or of runtime 'cuda'",
            where=str(engine.directory),
            remedy="`trtnemo bench run --engine` measures any of them as it is served",
        )
    fitting = fitting_prompt(budget_of(engine), prompt, 2 * tokens if is_cuda else tokens, engine)
    if fitting < prompt:
        click.echo(
            f"The prompt has {fitting:,} tokens, not {prompt:,}: more do not fit one step (limits.max_num_tokens), or "
            "the context beside --tokens",
            err=True,
        )
    return fitting


def _print(found: Profile) -> None:
    click.echo(f"{found.kernels} kernels, {found.threads} threads, {found.bandwidth / 1e9:.1f} GB/s read bandwidth")
    click.echo("most products a second, all operands in registers: " + _rates(found.rates))
    for what, costs in (("a decoded token", found.decode), ("a token of a prompt", found.prefill)):
        total = sum(cost.seconds for cost in costs)
        least = sum(cost.least for cost in costs)
        click.echo(
            f"\n{what}: {total * 1e6:,.0f} us, {1 / total:,.1f} tokens/s; its products alone at those rates "
            f"{least * 1e6:,.0f} us, {least / total:.2f} of that"
        )
        click.echo(f"  {'op':<44}{'count':>6}{'us':>10}{'share':>8}{'MB':>9}{'GB/s':>8}{'Gproducts/s':>13}")
        for cost in costs:
            click.echo(f"  {cost.name:<44}{cost.ops:>6}{_numbers(cost, total)}")


def _rates(rates: ProductRates) -> str:
    named = (("bytes", rates.bytes), ("float32", rates.float32), ("bfloat16", rates.bfloat16))
    return ", ".join(f"{name} {rate / 1e9:,.1f} G" for name, rate in named if rate)


def _numbers(cost: OpCost, total: float) -> str:
    seconds = max(cost.seconds, 1e-12)
    rates = f"{cost.bytes / seconds / 1e9:>8.1f}" if cost.bytes else f"{'':>8}"
    products = f"{cost.products / seconds / 1e9:>13.1f}" if cost.products else ""
    return f"{cost.seconds * 1e6:>10.1f}{cost.seconds / total:>8.1%}{cost.bytes / 1e6:>9.2f}{rates}{products}"
