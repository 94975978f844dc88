"""Messages between the frontend and the engine's process."""

from __future__ import annotations

import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtnemo.runtime import SamplingParams
from trtnemo.runtime.messages import Abort, Failed, Finished, Shutdown, Submit, ThinkingBudget, TokenGenerated
from trtnemo.runtime.process.wire import Channel, Unframer, frame
from trtnemo.runtime.sampler import TokenLogprob

EVENTS = [
    TokenGenerated("1", 7, TokenLogprob(7, -0.5, ((7, -0.5), (8, -1.25))), 3, True),
    TokenGenerated("2", 8, None),
    Finished("1", "stop"),
    Failed("2", "broke", is_lost=True),
]
COMMANDS = [
    Submit(
        "1",
        (1, 2, 3),
        SamplingParams(temperature=0.3, logit_bias={5: -3.0}, stop=("a",), seed=-9),
        frozenset({2, 11}),
        ThinkingBudget(5, 13, frozenset({13, 14})),
        128,
    ),
    Abort("1"),
    Shutdown(True),
]


@given(st.lists(st.integers(1, 60), max_size=60))
def test_events_come_whole_whatever_pieces_the_bytes_come_in(cuts: list[int]) -> None:
    data = frame(EVENTS[:3]) + frame(EVENTS[3:])
    unframer, read = Unframer(), []
    for cut in [*cuts, len(data)]:
        piece, data = data[:cut], data[cut:]
        read += unframer.push(piece)
    assert read == EVENTS


def test_commands_arrive_as_they_were_sent_until_the_socket_ends() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(frame(COMMANDS))
        ours.close()
        assert list(Channel(theirs).commands()) == COMMANDS


def test_a_half_sent_command_at_the_end_is_no_command() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(frame(COMMANDS[:1])[:-1])
        ours.close()
        assert list(Channel(theirs).commands()) == []


def test_what_is_no_message_is_not_taken() -> None:
    with pytest.raises(msgspec.ValidationError):
        Unframer().push(frame([Finished("1", "boredom")]))  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="no message holds a complex"):
        frame([Finished("1", 1j)])  # type: ignore[arg-type]
