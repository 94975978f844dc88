"""Another bundle takes the place of one that is served, or gives it back."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.launch.machine import Machine
from tests.support.waiting import wait_until
from trtnemo.engine.manifest import MANIFEST


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events if event["event"] != "drift"]


def serve_two(keep: Any, machine: Machine, make_checkpoint: Any, lives: str, *options: str) -> tuple[Any, Any, str]:
    """Serve a bundle, and return the process, its events, and another bundle."""
    process, events = keep(lives, *options)
    other = str(machine.directory / "other")
    chosen = ["--set", f"checkpoint={make_checkpoint('nvfp4')}", "--set", "served_model_names=[other]"]
    built = machine.build("--recipe", "vllm-b200", "--output", other, "--set", "server.host=127.0.0.1", *chosen)
    assert built.returncode == 0, built.stderr
    wait_until(lambda: "serving" in names(events()), 60)
    return process, events, other


def end(process: Any) -> str:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return str(out)


def test_another_bundle_takes_the_place(keep: Any, machine: Machine, make_checkpoint: Any) -> None:
    process, events, other = serve_two(keep, machine, make_checkpoint, "ok,ok")
    url = machine.member(process)["url"]
    done = machine.run("replace", "--engine", other, "--timeout", "60")
    assert (done.returncode, done.stdout) == (0, f"replaced: other is served from {other}\n"), done.stderr
    assert httpx.get(f"{url}/v1/models").json()["data"][0]["id"] == "other"
    assert machine.member(process)["bundle"] == other
    end(process)
    assert names(events()) == ["start", "serving", "start", "serving", "replaced", "stopped"]


@pytest.mark.parametrize(
    ("life", "said"),
    [
        pytest.param("crash", "ended during start with exit code 1", marks=pytest.mark.long),
        ("babbling", "its first answer is not right"),
    ],
)
def test_a_bundle_that_does_not_serve_gives_the_place_back(
    keep: Any, machine: Machine, make_checkpoint: Any, life: str, said: str
) -> None:
    process, events, other = serve_two(keep, machine, make_checkpoint, f"ok,{life},ok")
    done = machine.run("replace", "--engine", other, "--timeout", "60")
    assert done.returncode == 1
    assert done.stderr.startswith("rolled back: ")
    assert said in done.stderr
    wait_until(lambda: names(events()).count("serving") == 2, 60)
    assert machine.member(process)["bundle"] != other
    out = end(process)
    assert names(events())[-4:] == ["rolled back", "start", "serving", "stopped"]
    assert "the one before is started again" in out


@pytest.mark.long
def test_a_program_that_cannot_be_started_gives_the_place_back(
    keep: Any, machine: Machine, make_checkpoint: Any
) -> None:
    process, events, other = serve_two(keep, machine, make_checkpoint, "ok,ok", "--restart", "always")
    program = machine.programs / "vllm"
    text = program.read_text()
    program.write_text("no program of this machine")  # without the line that says what runs it
    threading.Timer(8, lambda: program.write_text(text)).start()
    done = machine.run("replace", "--engine", other, "--timeout", "60")
    assert (done.returncode, done.stderr.startswith("rolled back: ")) == (1, True), done.stderr
    wait_until(lambda: names(events()).count("serving") == 2, 90)
    end(process)
    assert "Exec format error" in next(event["text"] for event in events() if event["event"] == "lost")


@pytest.mark.long
def test_a_bundle_that_was_edited_is_refused_and_the_server_goes_on(
    keep: Any, machine: Machine, make_checkpoint: Any
) -> None:
    process, events, other = serve_two(keep, machine, make_checkpoint, "ok")
    manifest = Path(other) / MANIFEST
    manifest.write_text(manifest.read_text().replace("--max-model-len", "--max-modl-len"))
    done = machine.run("replace", "--engine", other, "--timeout", "60")
    assert (done.returncode, done.stderr.startswith("refused: ")) == (1, True), done.stderr
    end(process)
    assert names(events()) == ["start", "serving", "refused", "stopped"]


def test_where_nobody_serves_that_is_said(machine: Machine) -> None:
    (machine.directory / "empty").mkdir()
    done: subprocess.CompletedProcess[str] = machine.run("replace", "x", "--engine", str(machine.directory / "empty"))
    assert (done.returncode, "no server 'x' is kept serving here" in done.stderr) == (2, True)
