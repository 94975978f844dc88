"""Reading and writing beside the loop: who else runs, who leaves, and pages that are needed elsewhere."""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.backends.asking import PARAMS, prompt, say
from tests.support.backends.prefix_disk import Disk
from tests.support.waiting import wait_until
from trtnemo import SamplingParams
from trtnemo.runtime.messages import Finished, TokenGenerated
from trtnemo.runtime.prefixes import jobs

LONG = prompt(0, 2000)
ENDLESS = SamplingParams(temperature=0, max_tokens=4000, ignore_eos=True)


class Held:
    """A call that waits until it may go on, or is halted."""

    def __init__(self, call: Callable[..., None]) -> None:
        self.began, self.may_go_on = threading.Event(), threading.Event()
        self._call = call

    def __call__(self, *arguments: Any) -> None:
        self.began.set()
        while not self.may_go_on.wait(0.01):
            arguments[-1]()  # raises where it was halted
        self._call(*arguments)


@pytest.fixture
def held(monkeypatch: Any) -> Any:
    def hold(name: str) -> Held:
        made = Held(getattr(jobs, name))
        monkeypatch.setattr(jobs, name, made)
        return made

    return hold


def pages_used(client: Any) -> int:
    used: int = client.statistics.kv_pages_used
    return used


def test_others_go_on_while_a_state_is_read(disk: Disk, held: Any) -> None:
    answer, _ = disk.ask(LONG)
    read = held("read_rung")
    client = disk.client()
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    request = client.submit(client.check([5, 6], ENDLESS), heard.put)
    late: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.submit(client.check(LONG, PARAMS), late.put)
    assert read.began.wait(60)
    while not heard.empty():
        heard.get()
    assert sum(isinstance(heard.get(timeout=60), TokenGenerated) for _ in range(20)) == 20
    assert late.empty()
    read.may_go_on.set()
    said = []
    while not isinstance(event := late.get(timeout=60), Finished):
        said += [(event.token_id, event.logprob)] if isinstance(event, TokenGenerated) else []
    assert said == answer
    assert client.statistics.cached_tokens == 1920
    client.abort(request)


def test_an_answer_does_not_wait_for_its_prompt_to_be_written(disk: Disk, held: Any) -> None:
    write = held("write_file")
    client = disk.client()
    answer, _ = say(client, LONG)
    assert write.began.is_set()
    assert disk.files == []
    write.may_go_on.set()
    client.close()
    assert disk.ask(LONG) == (answer, 1920)


def test_who_leaves_while_its_state_is_read_leaves_no_page_behind(disk: Disk, held: Any) -> None:
    disk.ask(LONG)
    read = held("read_rung")
    client = disk.client()
    request = client.submit(client.check(LONG, PARAMS), lambda event: None)
    assert read.began.wait(60)
    client.abort(request)
    wait_until(lambda: client.statistics.waiting == 0 and pages_used(client) == 0)
    read.may_go_on.set()
    assert say(client, LONG)[1] == 1920


def test_pages_that_wait_to_be_written_go_to_who_needs_them(disk: Disk, held: Any) -> None:
    expected = disk.ask(prompt(1, 2000), most=1)[0]
    write = held("write_file")
    client = disk.client(slots=1, max_seq_len=2048, kv_tokens=2048)
    say(client, LONG)
    assert write.began.is_set()
    assert say(client, prompt(1, 2000)) == (expected, 0)
    assert disk.files == []
    write.may_go_on.set()  # of the second prompt
    client.close()
    assert len(disk.files) == 1


def test_a_state_that_is_being_read_gives_way_as_well(disk: Disk, held: Any) -> None:
    answer, _ = disk.ask(LONG)
    read = held("read_rung")
    client = disk.client(slots=2, max_seq_len=2048, kv_tokens=2080)
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.submit(client.check([5, 6], SamplingParams(temperature=0, max_tokens=300, ignore_eos=True)), heard.put)
    late: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.submit(client.check(LONG, PARAMS), late.put)
    assert read.began.wait(60)
    for events, tokens in ((heard, 300), (late, len(answer))):
        said = 0
        while not isinstance(event := events.get(timeout=60), Finished):
            said += isinstance(event, TokenGenerated)
        assert said == tokens


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_full_disk_is_told_once_and_ends_nothing(disk: Disk, monkeypatch: Any, caplog: Any, failing: str) -> None:
    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else ("pathlib.Path.rename",)), full)
    client, twelve = disk.client(), SamplingParams(temperature=0, max_tokens=12, ignore_eos=True, logprobs=1)
    for seed in range(3):
        assert len(say(client, prompt(seed, 1500), twelve)[0]) == 12
    client.close()
    assert [record.getMessage() for record in caplog.records] == [
        "a prompt's states were not written, and others may not be: [Errno 28] No space left on device"
    ]
    assert disk.files == []
    assert pages_used(client) == 0


def test_a_prompt_that_is_larger_than_the_bound_is_told_and_not_written(disk: Disk, caplog: Any) -> None:
    disk.ask(LONG, most=1000)
    assert "server.prefix_dir_gib, or the space that is free there, is smaller" in caplog.text
    assert disk.files == []
