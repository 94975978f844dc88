"""Ctrl-C ends an answer once, and is nothing outside of one; being told to end is something else."""

from __future__ import annotations

import os
import signal

import pytest

from trtnemo.chat.stop_key import StopKey, Stopped


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_second_press_does_not_break_what_the_first_one_ends() -> None:
    ended = []

    def run(key: StopKey) -> None:
        with key.armed():
            try:
                press()
            finally:
                press()
                ended.append(True)

    with StopKey() as key:
        for count in (1, 2):
            with pytest.raises(Stopped):
                run(key)
            assert len(ended) == count
            press()


def test_ctrl_c_is_what_it_was_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopKey():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
