"""How `trtnemo plan` prints a plan."""

from __future__ import annotations

from collections.abc import Sequence

import click

from trtnemo.plan.fit import LONGEST
from trtnemo.plan.plan import Plan
from trtnemo.plan.roofline import tokens_per_step
from trtnemo.plan.verdict import gib

_MIB = 1 << 20


def print_plan(plan: Plan) -> None:
    """Print the verdict, then memory, sequences, frontier and speed."""
    click.secho(plan.verdict.sentence, bold=True)
    for text in plan.advice:
        click.echo(f"  fits with: {text}")
    for text in plan.verdict.warnings:
        click.secho(f"  warning: {text}", fg="yellow")
    if plan.verdict.kind != "fits" and not plan.advice:
        click.echo("  no single change that was tried makes it fit")
    deployment = plan.deployment
    click.echo(f"\n{plan.network.name}: {_server(plan)}; tensor {deployment.tensor}, expert {deployment.expert}, "
               f"pipeline {deployment.pipeline}, data {deployment.data}"
               f"{', attention DP' if deployment.attention_dp else ''}; {deployment.draft_tokens} drafts")  # fmt: skip
    click.echo(f"config: {plan.network.source}")
    _print_memory(plan)
    _print_sequence(plan)
    longest = [f"{batch}: {context:,}{' or more' * (context == LONGEST)}" for batch, context in plan.frontier]
    click.echo(f"\nlongest context by batch: {', '.join(longest) or 'not one token fits'}")
    _print_speed(plan)


def _server(plan: Plan) -> str:
    version = f" {plan.deployment.version}" if plan.deployment.version else ""
    return f"{plan.deployment.server}{version}"


def _print_memory(plan: Plan) -> None:
    need, each = plan.need, " (fullest pipeline stage)" if plan.deployment.pipeline > 1 else ""
    click.echo(f"\nbytes on each device{each}, {need.batch} sequences of {need.context:,} tokens")
    rows = [(f"  {item.kind}", size) for item in plan.weights if (size := item.by_stage[plan.stage])]
    rows = [("weights", need.weights), *rows, ("KV cache", need.kv_cache), ("Mamba states", need.states)]
    if need.draft_states:
        rows.append(("draft states", need.draft_states))
    work = plan.workspace
    rows += [("workspace (a model, not measured)", need.workspace), ("  fixed", work.fixed),
             ("  activations", work.activations), ("  logits", work.logits), ("all", need.total)]  # fmt: skip
    _table(rows)
    held, inferred = plan.reservation, " (inferred)" if plan.reservation.inferred else ""
    click.echo(f"  device: {plan.device.memory_bytes:,}; the server's share: {plan.deployment.memory_fraction:g}; "
               f"spare: {need.spare:,} ({gib(need.spare)} GiB)")  # fmt: skip
    click.echo(f"  held back: {held.slots} slots: {held.reason}{inferred}")
    if plan.replicated:
        click.echo(f"  all devices together hold {plan.replicated:,} bytes of weights more than once")


def _table(rows: Sequence[tuple[str, int]]) -> None:
    for name, size in rows:
        click.echo(f"  {name:<36}{size:>18,}  {gib(size):>8} GiB")


def _print_sequence(plan: Plan) -> None:
    state, deployment = plan.state, plan.deployment
    click.echo("\none sequence on each device")
    click.echo(
        f"  KV of a token: {state.kv_per_token:,} bytes ({deployment.kv_dtype}, {state.attention_layers} layers)"
    )
    click.echo(f"  states of a slot: SSM {state.ssm_per_slot / _MIB:.1f} MiB ({deployment.ssm_dtype}), "
               f"convolution {state.conv_per_slot / _MIB:.2f} MiB ({state.mamba_layers} layers)")  # fmt: skip
    if state.kv_per_token:
        click.echo(f"  the states weigh as much as the KV of {state.per_slot // state.kv_per_token:,} tokens")


def _print_speed(plan: Plan) -> None:
    drafts = plan.deployment.draft_tokens
    if not plan.decode:
        click.echo("\nno bound of speed: the recipe states no hardware.bandwidth_gbs")
        return
    note = ""
    if drafts:
        note = (
            f", {tokens_per_step(drafts, plan.acceptance):.2f} tokens a step ({plan.acceptance:g} of drafts accepted)"
        )
    click.echo(f"\nupper bounds of speed (roofline, no forecast) at {plan.decode[0].context:,} tokens of context{note}")
    click.echo(f"  {'sequences':>9} {'experts':>8} {'step':>10} {'tokens/s':>10} {'each':>8}  bound by")
    for speed in plan.decode:
        step, rate, each = speed.seconds * 1e3, speed.tokens_per_second, speed.tokens_per_second_each
        numbers = f"{speed.batch:>9} {speed.experts_touched:>8.0f} {step:>7.2f} ms {rate:>10,.0f} {each:>8,.0f}"
        click.echo(f"  {numbers}  {speed.bound}")
    click.echo(f"  {'chunk':>9} {'experts':>8} {'step':>10} {'prompt tokens/s':>19}  bound by")
    for speed in plan.prefill:
        numbers = f"{speed.context:>9,} {speed.experts_touched:>8.0f} {speed.seconds * 1e3:>7.2f} ms"
        click.echo(f"  {numbers} {speed.tokens_per_second:>19,.0f}  {speed.bound}")
