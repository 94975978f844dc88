"""A signal while the builder compiles: held back until the plan is done, and never lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from trtnemo.trt.build import PlanBuilder, _interrupted_after

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def heard() -> Iterator[Any]:
    """Take both signals as the command line does, and put back what was there."""

    class SignalError(Exception):
        pass

    def hear(number: Any, frame: Any) -> None:
        raise SignalError(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    yield SignalError
    for number, handler in before.items():
        signal.signal(number, handler)


@BOTH
def test_a_signal_during_a_plan_is_raised_after_it(heard: Any, number: int) -> None:
    done = []

    def compile_plan() -> None:
        with _interrupted_after():
            signal.raise_signal(number)
            done.append("plan")

    with pytest.raises(heard, match=str(int(number))):
        compile_plan()
    assert done == ["plan"]
    with pytest.raises(heard):  # and the next one is heard at once
        signal.raise_signal(number)


def test_the_first_of_two_signals_counts(heard: Any) -> None:
    def compile_plan() -> None:
        with _interrupted_after():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(heard, match=str(int(signal.SIGTERM))):
        compile_plan()


def test_handlers_are_put_back_after_a_plan_that_fails_and_one_that_does_not(heard: Any) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with _interrupted_after():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with pytest.raises(ZeroDivisionError), _interrupted_after():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_than_the_main_one_has_no_handlers_to_set() -> None:
    done = []

    def work() -> None:
        with _interrupted_after():
            done.append("plan")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["plan"]


@BOTH
def test_a_build_holds_signals_back_while_the_builder_runs(heard: Any, number: int) -> None:
    class Builder:
        def build_serialized_network(self, network: Any, config: Any) -> Any:
            signal.raise_signal(number)
            built.append(network)
            return b"plan"

    built: list[str] = []
    builder: Any = PlanBuilder.__new__(PlanBuilder)
    builder.messages, builder._builder = [], Builder()
    builder._configure = lambda profile: None
    with pytest.raises(heard):
        builder.build("network", {})
    assert built == ["network"]
