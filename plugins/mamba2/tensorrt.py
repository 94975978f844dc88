"""mamba2 as TensorRT layers: convolution, then the scan in its chunked form, with states updated in place.

Within a chunk the scan is a product under a mask of decays, so that a decode or verification step (one chunk) needs no
loop; a prefill loops over chunks and carries the state (Dao and Gu, arXiv 2405.21060, section 6). Everything between
in_proj and out_proj is float32.

Shape letters: B slots, R rows of a slot, Q rows of a chunk, H heads, P head size, G groups, J heads of a group,
N state size, C convolution channels, K taps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.trt.element import Element
from trtnemo.trt.step_inputs import StepInputs
from trtnemo.trt.writer import ITensor, NetworkWriter

CHUNK = 64
_FLOAT = Element.FLOAT32


class States(NamedTuple):
    """The inputs that hold a layer's states: conv [B, 1, K-1, C], ssm [B, H, P, N]."""

    conv: ITensor
    ssm: ITensor


class Scan(NamedTuple):
    """What the scan reads, as a grid: x [B, R, G, J, P], dt [B, R, G, J], B and C [B, R, G, N], advances [B, R]."""

    x: ITensor
    dt: ITensor
    b: ITensor
    c: ITensor
    advances: ITensor


class Start(NamedTuple):
    """What a scan starts from: gate [B, R, I], its rows, the state [B, G, J, P, N], A [1, 1, G, J], new conv_state."""

    gate: ITensor
    scan: Scan
    state: ITensor
    decay: ITensor
    conv_state: ITensor


def mamba2(
    net: NetworkWriter,
    op: Mamba2,
    projected_BRD: ITensor,
    parameters: Mapping[str, ITensor],
    states: States,
    step: StepInputs,
    chunked: bool,
) -> tuple[ITensor, States]:
    """Return (output as a grid [B, R, H*P] in float32, new states, already written in place).

    `chunked`: R is a multiple of CHUNK and the grid has one slot; else R is one chunk.
    """
    start = _start(net, op, projected_BRD, parameters, states, step)
    run = _scan_chunks if chunked else _scan_chunk
    y, after = run(net, start.scan, start.state, start.decay)
    skip = net.multiply(start.scan.x, net.reshape(parameters["D"], (1, 1, op.groups, -1, 1)))
    y_BRI = net.reshape(net.add(y, skip), (0, 0, op.inner))
    ssm = _reshape(net, after, step.advances, (op.heads, op.head_dim, op.state_size))
    written = States(start.conv_state, net.cache_update(states.ssm, ssm, step.zeros))
    return _gated_norm(net, op, y_BRI, start.gate, parameters["norm_weight"]), written


def advance(
    net: NetworkWriter,
    op: Mamba2,
    projected_BRD: ITensor,
    parameters: Mapping[str, ITensor],
    states: States,
    step: StepInputs,
) -> States:
    """Return the states after the tokens of a verified segment that were accepted, written in place."""
    start = _start(net, op, projected_BRD, parameters, states, step)
    after = _next_state(net, start.scan, start.state, net.multiply(_moving(net, start.scan), start.decay))
    ssm = _reshape(net, after, step.advances, (op.heads, op.head_dim, op.state_size))
    return States(start.conv_state, net.cache_update(states.ssm, ssm, step.zeros))


def _start(
    net: NetworkWriter,
    op: Mamba2,
    projected_BRD: ITensor,
    parameters: Mapping[str, ITensor],
    states: States,
    step: StepInputs,
) -> Start:
    projected = net.cast(projected_BRD, _FLOAT)
    gate, channels, dt = _split(net, projected, (op.inner, op.channels, op.heads))
    convolved, conv_state = _convolve(net, op, channels, parameters, states.conv, step)
    scan = _prepare(net, op, convolved, dt, parameters, step)
    heads = (op.groups, op.heads // op.groups, op.head_dim, op.state_size)
    state = _reshape(net, states.ssm, step.advances, heads)
    decay = net.unary("NEG", net.unary("EXP", net.reshape(parameters["A_log"], (1, 1, op.groups, -1))))
    return Start(gate, scan, state, decay, conv_state)


def _split(net: NetworkWriter, x_BRD: ITensor, widths: tuple[int, ...]) -> list[ITensor]:
    starts = [sum(widths[:index]) for index in range(len(widths))]
    return [net.slice(x_BRD, 2, start, width) for start, width in zip(starts, widths, strict=True)]


def _reshape(net: NetworkWriter, x: ITensor, like: ITensor, tail: tuple[int, ...]) -> ITensor:
    return net.reshape_like(x, [(like, 0), *tail])


def _convolve(
    net: NetworkWriter,
    op: Mamba2,
    channels_BRC: ITensor,
    parameters: Mapping[str, ITensor],
    conv_state_B1KC: ITensor,
    step: StepInputs,
) -> tuple[ITensor, ITensor]:
    state_BKC = _reshape(net, conv_state_B1KC, step.advances, (op.kernel - 1, op.channels))
    history = net.concat([net.cast(state_BKC, _FLOAT), channels_BRC], 1)
    weight_KC = net.transpose(net.reshape(parameters["conv_weight"], (op.channels, op.kernel)), (1, 0))
    total = None
    for tap in range(op.kernel):
        taps = net.slice(history, 1, tap, (channels_BRC, 1))
        term = net.multiply(taps, net.unsqueeze(net.slice(weight_KC, 0, tap, 1), 0))
        total = term if total is None else net.add(total, term)
    if "conv_bias" in parameters:
        total = net.add(total, net.reshape(parameters["conv_bias"], (1, 1, -1)))
    offsets = net.constant([list(range(op.kernel - 1))], Element.INT32)
    kept = net.gather(history, net.add(step.conv_start, offsets), 1, batched=True)
    update = net.unsqueeze(net.cast(kept, net.element(conv_state_B1KC)), 1)
    return _silu(net, total), net.cache_update(conv_state_B1KC, update, step.zeros)


def _prepare(
    net: NetworkWriter,
    op: Mamba2,
    convolved_BRC: ITensor,
    dt_BRH: ITensor,
    parameters: Mapping[str, ITensor],
    step: StepInputs,
) -> Scan:
    width = op.groups * op.state_size
    x, b, c = _split(net, convolved_BRC, (op.inner, width, width))
    # No clamp of dt: see the reference.
    dt = net.activation("SOFTPLUS", net.add(dt_BRH, net.reshape(parameters["dt_bias"], (1, 1, -1))))
    return Scan(
        net.reshape(x, (0, 0, op.groups, -1, op.head_dim)),
        net.reshape(dt, (0, 0, op.groups, -1)),
        net.reshape(b, (0, 0, op.groups, op.state_size)),
        net.reshape(c, (0, 0, op.groups, op.state_size)),
        step.advances,
    )


def _moving(net: NetworkWriter, scan: Scan) -> ITensor:
    """Return dt with 0 where a token leaves the state as it is: decay 1, nothing added."""
    return net.multiply(scan.dt, net.unsqueeze(scan.advances, 2, 3))


def _next_state(net: NetworkWriter, scan: Scan, state_BGJPN: ITensor, log_decay_BRGJ: ITensor) -> ITensor:
    """Return the state after the rows that advance it."""
    running = net.cumulative_sum(log_decay_BRGJ, 1)
    total = net.reduce("SUM", log_decay_BRGJ, 1, keep=True)
    weight = net.multiply(net.unary("EXP", net.subtract(total, running)), _moving(net, scan))
    drive = net.multiply(scan.x, net.unsqueeze(weight, 4))
    added = net.einsum("brgjp,brgn->bgjpn", drive, scan.b)
    kept = net.unary("EXP", net.reduce("SUM", log_decay_BRGJ, 1))
    return net.add(net.multiply(state_BGJPN, net.unsqueeze(kept, 3, 4)), added)


def _scan_chunk(net: NetworkWriter, scan: Scan, state_BGJPN: ITensor, decay_GJ: ITensor) -> tuple[ITensor, ITensor]:
    """Return (y [B, R, G, J, P], the state after) of one chunk."""
    running = net.cumulative_sum(net.multiply(scan.dt, decay_GJ), 1)
    from_state = net.einsum("brgn,bgjpn->brgjp", scan.c, state_BGJPN)
    from_state = net.multiply(from_state, net.unsqueeze(net.unary("EXP", running), 4))
    # decay between rows: exp(running[r] - running[s]) for s <= r; the others would overflow, so they are masked before
    between = net.subtract(net.unsqueeze(running, 2), net.unsqueeze(running, 1))
    row = net.cumulative_sum(_ones_like_rows(net, scan.advances), 1)
    is_past = net.unary("NOT", net.binary("GREATER", net.unsqueeze(row, 1), net.unsqueeze(row, 2)))
    is_past = net.unsqueeze(is_past, 3, 4)
    decay = net.unary("EXP", net.select(is_past, between, net.constant([[[[[-1e30]]]]])))
    scores = net.einsum("brgn,bsgn->brsg", scan.c, scan.b)
    weights = net.multiply(net.multiply(decay, net.unsqueeze(scores, 4)), net.unsqueeze(scan.dt, 1))
    inside = net.einsum("brsgj,bsgjp->brgjp", weights, scan.x)
    after = _next_state(net, scan, state_BGJPN, net.multiply(_moving(net, scan), decay_GJ))
    return net.add(from_state, inside), after


def _ones_like_rows(net: NetworkWriter, advances_BR: ITensor) -> ITensor:
    zero = net.constant([[0.0]])
    return net.add(net.multiply(advances_BR, zero), net.constant([[1.0]]))


def _scan_chunks(net: NetworkWriter, scan: Scan, state_BGJPN: ITensor, decay_GJ: ITensor) -> tuple[ITensor, ITensor]:
    """Return the same of many chunks of one slot: a loop that carries the state."""
    chunks = Scan(*(_cut(net, part) for part in scan))
    count = net.reshape(net.cast(net.shape_of([(chunks.dt, 0)]), Element.INT32), ())
    loop = net.loop(count)
    state = net.name(loop.add_recurrence(state_BGJPN))
    parts = Scan(*(net.name(loop.add_iterator(part, 0)).get_output(0) for part in chunks))
    one = Scan(*(net.unsqueeze(part, 0) for part in parts))
    y_1QGJP, after = _scan_chunk(net, one, state.get_output(0), decay_GJ)
    state.set_input(1, after)
    kinds = net.library.module.LoopOutput
    last = net.name(loop.add_loop_output(state.get_output(0), kinds.LAST_VALUE)).get_output(0)
    rows = net.name(loop.add_loop_output(net.reshape(y_1QGJP, y_1QGJP.shape[1:]), kinds.CONCATENATE, 0))
    rows.set_input(1, count)
    y_MQGJP = rows.get_output(0)
    return net.reshape(y_MQGJP, (1, -1, *y_MQGJP.shape[2:])), last


def _cut(net: NetworkWriter, x_1R: ITensor) -> ITensor:
    """Return [1, R, ..] as [R / CHUNK, CHUNK, ..]."""
    return net.reshape(x_1R, (-1, CHUNK, *x_1R.shape[2:]))


def _silu(net: NetworkWriter, x: ITensor) -> ITensor:
    return net.multiply(x, net.activation("SIGMOID", x))


def _gated_norm(net: NetworkWriter, op: Mamba2, y_BRI: ITensor, gate_BRI: ITensor, weight_I: ITensor) -> ITensor:
    """Gate first, then RMS-normalize each group of channels on its own."""
    gated = net.reshape(net.multiply(y_BRI, _silu(net, gate_BRI)), (0, 0, op.groups, -1))
    mean = net.reduce("AVG", net.multiply(gated, gated), 3, keep=True)
    root = net.unary("SQRT", net.add(mean, net.constant([[[[op.epsilon]]]])))
    normed = net.reshape(net.divide(gated, root), (0, 0, op.inner))
    return net.multiply(normed, net.reshape(weight_I, (1, 1, -1)))
