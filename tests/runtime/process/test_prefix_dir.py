"""`trtnemo serve --prefix-dir`: a long prompt is read once, and its state outlives the server."""

from __future__ import annotations

import signal
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.commands import trtnemo_here
from tests.support.paths import SUPPORT
from trtnemo.engine import Engine
from trtnemo.errors import UsageError
from trtnemo.recipe.runtimes import CpuServer
from trtnemo.runtime.load import loop_options
from trtnemo.runtime.options import PrefixPlace
from trtnemo.server.serve import _prefix_place

FAULTY_WORKER = SUPPORT / "faulty_worker.py"
# trtnemo with a worker whose disk is slow
SLOWLY = """
import sys
from trtnemo.cli import main
from trtnemo.runtime.process import EngineProcess
EngineProcess.__init__.__kwdefaults__["program"] = (sys.executable, {worker!r}, "writes-slowly", {flag!r})
main()
"""
STORY = "The river runs to the sea. " * 400


def ask(url: str, end: str, **more: Any) -> tuple[str, int]:
    """Return an answer and how many tokens of its prompt were not read."""
    body = {"prompt": STORY + end, "max_tokens": 12, "temperature": 0, **more}
    answer = httpx.post(f"{url}/v1/completions", json=body, timeout=60).json()
    details = answer["usage"].get("prompt_tokens_details") or {}
    return answer["choices"][0]["text"], details.get("cached_tokens", 0)


def metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics", timeout=10).text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def end(process: Any, how: signal.Signals) -> int:
    process.send_signal(how)
    process.communicate(timeout=60)
    code: int = process.returncode
    return code


def test_a_state_survives_a_restart(tiny_engine: Path, server_process: Any, tmp_path: Path) -> None:
    states = tmp_path / "states"
    process, url = server_process(tiny_engine, "--prefix-dir", str(states))
    first, cached = ask(url, "")
    other, _ = ask(url, "And the sea is", cache_salt="other")
    assert cached == 0
    assert end(process, signal.SIGTERM) == 0
    files = [path for path in states.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".prefix"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in files} == {0o700}
    process, url = server_process(tiny_engine, "--prefix-dir", str(states))
    again, cached = ask(url, "")
    assert again == first
    assert cached > 4000
    assert metric(url, "trtnemo_prefix_disk_hits_total") == 1
    assert ask(url, "And the sea is", cache_salt="other") == (other, cached)
    assert ask(url, "And the sea is", cache_salt="a third")[1] == 0
    assert end(process, signal.SIGTERM) == 0


def test_a_killed_server_leaves_whole_files_alone(tiny_engine: Path, server_process: Any, tmp_path: Path) -> None:
    states = tmp_path / "states"
    process, url = server_process(tiny_engine, "--prefix-dir", str(states))
    first, _ = ask(url, "")
    end(process, signal.SIGKILL)
    process, url = server_process(tiny_engine, "--set", f"server.prefix_dir={states}")
    assert ask(url, "")[0] == first
    again, cached = ask(url, "A second time.", cache_salt="one")
    assert cached == 0
    assert ask(url, "A second time.", cache_salt="one") == (again, 4352)


def test_what_is_still_written_at_sigterm_gets_there_whole(
    tiny_engine: Path, server_process: Any, tmp_path: Path
) -> None:
    states, slow = tmp_path / "states", tmp_path / "slow"
    slow.touch()
    launcher = SLOWLY.format(worker=str(FAULTY_WORKER), flag=str(slow))
    process, url = server_process(tiny_engine, "--prefix-dir", str(states), program=("-c", launcher))
    first, _ = ask(url, "")
    assert list(states.rglob("*.prefix")) == []  # it is being written
    assert end(process, signal.SIGTERM) == 0
    (file,) = [path for path in states.rglob("*") if path.is_file()]
    assert file.suffix == ".prefix"
    process, url = server_process(tiny_engine, "--prefix-dir", str(states))
    again, cached = ask(url, "")
    assert (again, cached > 4000) == (first, True)


def test_engines_that_keep_no_states_on_disk_refuse_it(make_tiny: Any, tmp_path: Path) -> None:
    torch = Engine.open(make_tiny("cpu.lowering=torch"))
    with pytest.raises(UsageError, match="keeps no states of prompts on disk"):
        loop_options(torch, PrefixPlace(tmp_path, 1))
    assert loop_options(torch).prefix_place is None


def test_directory_in_the_engine_is_refused(tiny_engine: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """An engine with files that its build did not write does not start again."""
    link = tmp_path / "link"
    link.symlink_to(tiny_engine)
    for place in (tiny_engine, tiny_engine / "cpu-v1" / "states", link / "states"):
        with pytest.raises(UsageError, match="lies in the engine"):
            _prefix_place(CpuServer(prefix_dir=str(place)), tiny_engine)
    monkeypatch.setenv("HOME", str(tmp_path))
    beside = _prefix_place(CpuServer(prefix_dir="~/states", prefix_dir_gib=0.5), tiny_engine)
    assert beside == PrefixPlace(tmp_path / "states", 1 << 29)


@pytest.mark.parametrize(
    ("size", "told"),
    [("8GB", "must be a valid number"), ("-1", "must be greater than 0"), ("0", "must be greater than 0"),
     (".inf", "no JSON form"), ("9000000", "less than or equal to 1048576")],
)  # fmt: skip
def test_size_is_a_number_of_gib_and_nothing_else(size: str, told: str) -> None:
    # LMCache: GB without a unit; docker and others: -1 for no bound
    refused = trtnemo_here("check", "--recipe", "tiny", "--set", f"server.prefix_dir_gib={size}")
    assert (refused.returncode, told in refused.stderr) == (3, True), refused.stderr


def test_other_runtimes_refuse_it(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert trtnemo_here("build", "--recipe", "vllm-b200", "--output", bundle).returncode == 0
    done = trtnemo_here("serve", "--engine", bundle, "--prefix-dir", tmp_path / "states")
    assert done.returncode == 2
    assert "--prefix-dir is for engines of runtime 'cpu', and this one is of 'vllm'" in done.stderr
    refused = trtnemo_here("check", "--recipe", "h100-cuda", "--set", "server.prefix_dir=/nowhere")
    assert refused.returncode == 3
    assert "unknown key 'server.prefix_dir'" in refused.stderr


def test_what_an_engines_state_depends_on_is_told_apart(make_tiny: Any, monkeypatch: Any, tmp_path: Path) -> None:
    place = PrefixPlace(tmp_path, 1)

    def named(*settings: str) -> str:
        chosen = loop_options(Engine.open(make_tiny(*settings)), place).prefix_place
        assert chosen is not None
        return chosen.engine

    first = named()
    assert named("limits.max_batch_size=2") == first  # neither weights nor graph
    monkeypatch.setattr("trtnemo.runtime.load.code_digest", lambda: "another version")
    assert named() != first
