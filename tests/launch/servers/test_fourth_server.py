"""A server is a folder and a line: one that nobody knew reaches every command with no edit elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.copied import copy_package
from tests.support.launch.machine import free_port, write_program

LINE = '    "sglang": SglangSection,\n'
DIALECT = """
from trtnemo.launch.servers.surface import Dialect

DIALECT = Dialect(title="Quark", words=("quark-serve", "start"), variable_prefixes=("QUARK_",))
"""
SERVER = """
from trtnemo.launch.servers.issue import KnownIssue
from trtnemo.launch.servers.log_stages import STAGES, Stage
from trtnemo.launch.servers.quark.dialect import DIALECT
from trtnemo.launch.servers.server import Server
from trtnemo.plan.server_memory import Reservation, ServerMemory


def _reserve(batch, config, state):
    return Reservation(batch.size + 7, 0, 64, "seven slots for luck", inferred=False)


def _up_side_down(case):
    return ("--spin", "spin down") if case.option("--spin") == "down" else None


class Quark(Server):
    dialect = DIALECT
    program = "quark-serve"
    module = package = "quark"
    image = "quark"
    neutral = {"limits.max_batch_size": "--seats", "server.host": "--host", "server.port": "--port"}
    memory = ServerMemory("Quark", _reserve)
    issues = (
        KnownIssue(
            name="quark-spin",
            severity="warning",
            symptom="answers are upside down",
            source="a test",
            remedy="Use spin up",
            trigger=_up_side_down,
            log="gluon leaked",
        ),
    )
    stages = (*STAGES, Stage("binding gluons", "gluons"))
    health = "/ready"

    def words_after_start(self, words):
        return list(words[2:]) if list(words[:2]) == ["quark-serve", "start"] else None

    def deployment(self, invocation, network):
        return {
            "max_batch_size": invocation.count("--seats", 4),
            "max_num_tokens": 4096,
            "max_seq_len": 8192,
            "memory_fraction": 0.5,
        }


SERVER = Quark()
"""
OPTIONS = [
    {"names": ["--seats"], "kind": "value", "type": "int", "default": 4},
    {"names": ["--spin"], "kind": "value", "choices": ["up", "down"]},
    {"names": ["--host"], "kind": "value"},
    {"names": ["--port"], "kind": "value", "type": "int", "default": 7000},
]
SURFACE = {"options": OPTIONS, "precedence": "typed", "evidence": "a test", "environment": ["QUARK_COLOR"]}
RECIPE = """
runtime: quark
checkpoint: nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4
hardware: {name: b200}
limits: {max_batch_size: 3}
server: {port: PORT}
quark:
  version: "1.0"
  image: example/quark:1.0
  args: {spin: down}
  env: {QUARK_COLOR: red}
"""
# a server that tells a stage of its own and is healthy under its own path
PROGRAM = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def _answer(self, body):
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self._answer(b"ok") if self.path == "/ready" else self.send_error(404)
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(json.dumps({"choices": [{"text": os.environ["QUARK_COLOR"]}]}).encode())
    def log_message(self, *arguments):
        pass
print("gluons, all of them", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package with the folder, and the line in the one list."""
    place = copy_package(tmp_path_factory.mktemp("fourth"))
    folder = place / "trtnemo" / "launch" / "servers" / "quark"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "dialect.py").write_text(DIALECT)
    (folder / "server.py").write_text(SERVER)
    (folder / "surface-1.0.json").write_text(json.dumps(SURFACE))
    registry = place / "trtnemo" / "recipe" / "external.py"
    text = registry.read_text()
    assert text.count(LINE) == 1
    registry.write_text(text.replace(LINE, f'{LINE}    "quark": ExternalSection,\n'))
    return place


@pytest.fixture
def start(package: Path, tmp_path: Path) -> Run:
    """Return a function that starts a command of the copied package on a machine with a GPU and the server."""
    programs = tmp_path / "bin"
    programs.mkdir()
    write_program(programs / "nvidia-smi", "printf 'NVIDIA B200, 183359, 10.0, GPU-1, Disabled\\n'")
    (tmp_path / "quark.py").write_text(PROGRAM)
    write_program(programs / "quark-serve", f'exec {sys.executable} {tmp_path / "quark.py"} "$@"')
    (tmp_path / "q.yaml").write_text(RECIPE.replace("PORT", str(free_port())))
    environment = {
        **os.environ,
        "PATH": f"{programs}:/usr/bin:/bin",
        # -S leaves out the hook of an editable install, which would put the repository first
        "PYTHONPATH": f"{package}:{sysconfig.get_path('purelib')}",
    }

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-S", "-m", "trtnemo", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=tmp_path)

    return run


def told(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    return out


def test_check_knows_its_options_and_its_issues(start: Run) -> None:
    report = json.loads(told(start("check", "--recipe", "q.yaml", "--json")))
    assert report["checked_against"] == "Quark 1.0"
    assert [(finding["rule"], finding["subject"]) for finding in report["findings"]] == [("quark-spin", "--spin")]


def test_a_pasted_command_of_it_is_read(start: Run) -> None:
    command = "QUARK_TASTE=1 quark-serve start m --seats eight --charm 2"
    report = json.loads(told(start("check", "--json", "--server-version", "1.0", "--command", command), 1))
    found = {(finding["rule"], finding["subject"]) for finding in report["findings"]}
    assert found == {("option-value", "--seats"), ("unknown-option", "--charm"), ("unknown-variable", "QUARK_TASTE")}


def test_plan_asks_for_its_memory(start: Run) -> None:
    plan = json.loads(told(start("plan", "--recipe", "q.yaml", "--json")))
    assert plan["reservation"]["reason"] == "seven slots for luck"
    assert plan["reservation"]["slots"] == 3 + 7
    assert plan["deployment"]["memory_fraction"] == 0.5


@pytest.mark.parametrize("form", ["command", "docker", "compose", "slurm"])
def test_render_writes_its_command(start: Run, form: str) -> None:
    text = told(start("render", "--recipe", "q.yaml", "--as", form))
    assert all(word in text for word in ("quark-serve", "--seats", "--spin", "QUARK_COLOR"))


def test_doctor_looks_for_its_package(start: Run) -> None:
    assert "quark" in json.loads(told(start("doctor", "--json")))["machine"]["packages"]


def test_serve_starts_it_reads_its_log_and_asks_it_for_a_token(
    start: Run, make_checkpoint: Callable[..., Path]
) -> None:
    local = f"checkpoint={make_checkpoint('nvfp4')}"
    told(start("build", "--recipe", "q.yaml", "--output", "bundle", "--set", local))
    process = start("serve", "--engine", "bundle", "--start-timeout", "30")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Serving"):
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert any("binding gluons" in line for line in lines), lines
    assert any("first token" in line for line in lines), lines
