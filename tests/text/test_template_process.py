"""The process of a foreign template: one request at a time, killed when it overstays, started again."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trtnemo.text import template_process, template_worker
from trtnemo.text.template_engine import TemplateError
from trtnemo.text.template_process import TemplateProcess

# slow enough that a second request comes while the first is rendered
SLOW = "{% for a in range(99999) %}{% if a == 7 %}{{ messages[0].content }}{% endif %}{% endfor %}"


def ask(process: Any, text: Any) -> Any:
    return process.render({"messages": [{"content": text}]})


@pytest.fixture
def start() -> Iterator[Any]:
    opened = []

    def make(text: Any, limit: Any = 2.0) -> Any:
        opened.append(TemplateProcess(text, limit))
        return opened[-1]

    yield make
    for process in opened:
        process.close()


def test_requests_at_once_get_their_own_prompts(start: Any) -> None:
    process, said = start(SLOW), {}

    def work(mine: Any) -> None:
        for text in mine:
            said[text] = ask(process, text)

    texts = [f"user {number}" for number in range(24)]
    # not a pool, which would wait for threads that mixed-up replies have left waiting
    threads = [threading.Thread(target=work, args=(texts[number::8],), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert said == {text: text for text in texts}


def test_a_worker_is_used_again_and_begun_anew_after_it_has_died(start: Any) -> None:
    process = start("{{ messages[0].content }}")
    first = process._worker._process
    assert ask(process, "a") == "a"
    assert process._worker._process is first
    first.kill()
    first.wait()
    assert ask(process, "b") == "b"
    assert process._worker._process.pid != first.pid


def test_a_worker_that_overstays_is_killed_and_its_late_answer_is_nobodys(start: Any) -> None:
    process = start("{% if messages[0].content == 'slow' %}" + "{% for a in range(99999) %}" * 2 + "{% endfor %}" * 2
                    + "{% endif %}{{ messages[0].content }}", 0.5)  # fmt: skip
    first = process._worker._process
    with pytest.raises(TemplateError, match=r"more than 0\.5 seconds"):
        ask(process, "slow")
    assert first.poll() == -signal.SIGKILL  # by us, and not by its own limit, which an idle one never meets
    assert ask(process, "next") == "next"


def test_a_refusal_of_the_template_ends_no_worker(start: Any) -> None:
    process = start("{{ raise_exception('no ' ~ messages[0].content) }}")
    worker = process._worker
    for text in ("a", "b"):
        with pytest.raises(TemplateError, match=f"no {text}"):
            ask(process, text)
    assert process._worker is worker


def test_messages_that_no_json_can_hold_are_refused_and_the_worker_lives(start: Any) -> None:
    process = start("{{ messages[0].content }}")
    worker = process._worker
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TemplateError, match="nested so deeply"):
        ask(process, deep)
    assert process._worker is worker
    assert ask(process, "next") == "next"


def test_variables_of_the_text_are_known_from_the_start(start: Any) -> None:
    assert start("{{ messages }}{{ flavour }}").variables == {"messages", "flavour"}


def test_a_closed_process_has_no_worker(start: Any) -> None:
    process = start("x")
    worker = process._worker._process
    process.close()
    process.close()
    assert worker.poll() is not None


def test_a_worker_has_its_limits_a_session_of_its_own_and_little_of_our_environment(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp")
    process = start("x", 3.0)
    worker = process._worker._process
    limits = resource.prlimit(worker.pid, resource.RLIMIT_AS)
    assert limits == (template_worker.MEMORY_BYTES,) * 2 == (1 << 30,) * 2
    assert resource.prlimit(worker.pid, resource.RLIMIT_CORE) == (0, 0)
    seconds = resource.prlimit(worker.pid, resource.RLIMIT_CPU)[0]
    assert 12 < seconds < 20  # four times the limit, and what the start took
    assert os.getsid(worker.pid) == worker.pid
    names = {
        entry.partition(b"=")[0].decode() for entry in Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
    }
    assert names - {""} <= {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"}
    assert "LD_LIBRARY_PATH" in names


def test_a_compilation_that_overstays_ends_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    class Silent(template_process._Worker):
        def ask(self, message: Any, seconds: Any) -> None:
            ended.append(self._process)
            assert seconds == 4 * 0.25
            raise TimeoutError

    monkeypatch.setattr(template_process, "_Worker", Silent)
    with pytest.raises(TemplateError, match="cannot be compiled within the limits"):
        TemplateProcess("x", 0.25)
    assert ended[0].poll() is not None


def test_a_worker_ends_with_its_parents_end_of_the_line(start: Any) -> None:
    process = start("x")
    worker = process._worker
    worker._ours.close()
    end = time.monotonic() + 20
    while worker._process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert worker._process.returncode == 0
