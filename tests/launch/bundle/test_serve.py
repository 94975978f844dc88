"""An external server is looked for, started, watched and ended; stand-ins crash, hang and start slowly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.launch.machine import free_port, write_program
from tests.support.paths import STAND_IN
from trtnemo.engine.manifest import BundleManifest, read_manifest


@pytest.fixture
def served(machine: Any, make_checkpoint: Any) -> Any:
    """Return a function that gives the arguments of `serve` for a bundle of a real checkpoint, built here."""

    def build(recipe: Any = "b200", *settings: Any) -> Any:
        bundle = machine.directory / "bundle"
        arguments = ["--set", f"checkpoint={make_checkpoint('nvfp4')}", "--set", "server.host=127.0.0.1"]
        for setting in settings:
            arguments += ["--set", setting]
        built = machine.build("--recipe", recipe, "--output", bundle, *arguments)
        assert built.returncode == 0, built.stderr
        return ["serve", "--engine", bundle, "--port", str(free_port())]

    machine.add_gpus(1)
    machine.add_server("trtllm-serve", "trtllm", "1.3.0rc12")
    machine.add_server("vllm", "vllm", "0.20.0")
    return build


def lines_until(process: Any, wanted: Any) -> Any:
    """Return the lines of stdout up to the one that begins with `wanted`."""
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith(wanted):
            return lines
    raise AssertionError(f"{lines} {process.stderr.read()}")


@pytest.mark.parametrize("recipe", ["b200", "vllm-b200"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_is_started_watched_and_ended_with_a_signal(
    machine: Any, served: Any, recipe: str, number: Any
) -> None:
    process = machine.start(*served(recipe), behaviour="slow")
    lines = lines_until(process, "Serving nvidia/nemotron-3-super at http://127.0.0.1:")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    stages = [line.partition("] ")[2] for line in lines if line.startswith("[")]
    assert [stage for stage in stages if stage in ("loading weights", "capturing CUDA graphs")] == [
        "loading weights",
        "capturing CUDA graphs",
    ]
    assert stages[-1] == "first token"
    assert "Loading weights: 10 safetensors shards" in err
    assert ("variables ['TLLM_ALLOW_LONG_MAX_MODEL_LEN']" in err) == (recipe == "b200")
    assert ("characters of YAML" in err) == (recipe == "b200")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("crash", ["ended during start with exit code 1", "  | something broke"]),
        (
            "issue",
            ["Known issue trtllm-13179", "enable_padding: false", "  | RuntimeError: run out of mamba cache blocks"],
        ),
        ("hang", ["is not healthy after 8 s (last stage: loading weights)"]),
        ("mute", ["is healthy but does not generate a token: status 500"]),
    ],
)
def test_a_server_that_does_not_come_up_is_told_with_its_last_lines(
    machine: Any, served: Any, behaviour: str, words: list[Any]
) -> None:
    patience = "8" if behaviour == "hang" else "60"
    result = machine.run(*served(), "--restart", "no", "--start-timeout", patience, behaviour=behaviour)
    assert result.returncode == 7
    for word in words:
        assert word in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("trtnemo: error: the server: ")
    assert "Traceback" not in result.stderr


def test_a_server_that_dies_later_takes_the_command_with_it(machine: Any, served: Any) -> None:
    process = machine.start(*served(), "--restart", "no", behaviour="late")
    lines_until(process, "Serving")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 7
    assert "ended by itself with exit code 9" in err


def test_a_stopped_command_leaves_no_server_behind(machine: Any, served: Any) -> None:
    arguments = served()
    process = machine.start(*arguments)
    lines_until(process, "Serving")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(arguments[-1])), timeout=5).close()


def test_a_bundle_runs_in_docker_where_the_program_is_missing(machine: Any, served: Any) -> None:
    arguments = served("vllm-dgx-spark")
    (machine.programs / "vllm").unlink()
    record = machine.directory / "words"
    # a docker that takes what `docker run` takes up to the image, and runs the stand-in at the published port
    write_program(
        machine.programs / "docker",
        f'[ "$1" = run ] || exit 0\nprintf "%s\\n" "$@" > {record}\n'
        'while [ "$1" != vllm/vllm-openai:v0.20.0 ]; do [ "$1" = -p ] && published=$2; shift; done; shift\n'
        "port=${published%:*}\n"
        f'exec {sys.executable} {STAND_IN} vllm 0.20.0 "$@" --port "${{port##*:}}"',
    )
    process = machine.start(*arguments)
    lines_until(process, "Serving")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    words = record.read_text().splitlines()
    assert words[:2] == ["run", "--rm"]
    assert "-it" not in words
    plugin = machine.directory / "bundle" / "super_v3_reasoning_parser.py"
    assert f"{plugin}:/app/super_v3_reasoning_parser.py:ro" in words
    assert f"{machine.environment['HF_HOME']}:/root/.cache/huggingface" in words
    model = words[words.index("vllm/vllm-openai:v0.20.0") + 1]
    assert f"{model}:{model}:ro" in words
    manifest = read_manifest(machine.directory / "bundle")
    assert isinstance(manifest, BundleManifest)
    sealed = manifest.container
    started = words[words.index("vllm/vllm-openai:v0.20.0") + 1 :]
    assert started[: len(sealed)] == sealed
    assert started[len(sealed) :] == ["--shutdown-timeout", "590"]  # without it what runs is aborted
    assert words[words.index("-p") + 1] == f"127.0.0.1:{arguments[-1]}:{sealed[sealed.index('--port') + 1]}"


def test_docker_without_its_daemon_is_this_machines_lack(machine: Any, served: Any) -> None:
    arguments = served()
    (machine.programs / "trtllm-serve").unlink()
    write_program(machine.programs / "docker", "exit 1")
    result = machine.run(*arguments)
    assert result.returncode == 6
    assert "docker's daemon does not answer" in result.stderr


def test_without_a_gpu_nothing_is_started_and_everything_looked_at_is_told(machine: Any, served: Any) -> None:
    arguments = served()
    (machine.programs / "nvidia-smi").unlink()
    result = machine.run(*arguments)
    assert result.returncode == 6
    assert "the recipe is for 1 GPU (b200), this machine has none" in result.stderr
    told = [line.split(":")[0] for line in result.stdout.splitlines()]
    assert told == ["fails devices", "ok    program", "ok    port", "ok    checkpoint"]
    assert "starting" not in result.stdout


def test_a_recipe_for_eight_gpus_is_refused_on_one(machine: Any, served: Any) -> None:
    result = machine.run(*served("b200x8-throughput"))
    assert result.returncode == 6
    assert "the recipe is for 8 GPUs (b200), this machine has 1" in result.stderr


def test_weights_that_cannot_fit_are_refused(machine: Any, served: Any) -> None:
    arguments = served()
    machine.add_gpus(1, "Small, 0, 10.0")
    result = machine.run(*arguments)
    assert result.returncode == 6
    assert "does not fit: 1x Small, weights alone take 0.0 of 0.0 GiB" in result.stderr


def test_states_of_many_sequences_count_too(machine: Any) -> None:
    """Super NVFP4 on one card of 96 GB: 8 sequences fit, 512 do not, whatever the checkpoint's whereabouts."""
    arguments = hub_bundle(machine)
    machine.add_gpus(1, "NVIDIA RTX PRO 6000, 97887, 12.0")
    fits = machine.run(*arguments)
    assert "ok    memory: starts: 1x NVIDIA RTX PRO 6000, but the KV cache holds 2 of 8 sequences" in fits.stdout
    assert "10.0" in fits.stdout  # the recipe is written for another capability, which is told
    many = ["--force", "--set", "limits.max_batch_size=512", "--set", "server.host=127.0.0.1"]
    machine.build("--recipe", "b200", "--output", "bundle", *many)
    result = machine.run(*arguments)
    assert result.returncode == 6
    assert "states of 512 sequences leave no room for one at 1,048,576 tokens" in result.stderr


def test_neither_program_nor_docker_is_this_machines_lack(machine: Any, served: Any) -> None:
    arguments = served()
    (machine.programs / "trtllm-serve").unlink()
    result = machine.run(*arguments)
    assert result.returncode == 6
    assert "neither trtllm-serve nor docker is on PATH" in result.stderr


def test_a_port_in_use_is_told_before_the_start(machine: Any, served: Any) -> None:
    arguments = served()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = machine.run(*arguments[:-1], str(taken.getsockname()[1]))
    assert result.returncode == 7
    assert "cannot listen on 127.0.0.1" in result.stderr
    assert "starting" not in result.stdout


def hub_bundle(machine: Any) -> Any:
    built = machine.build("--recipe", "b200", "--output", "bundle", "--set", "server.host=127.0.0.1")
    assert "not audited: is not in this machine's cache" in built.stdout
    machine.add_gpus(1)
    machine.add_server("trtllm-serve", "trtllm", "1.3.0rc12")
    return ["serve", "--engine", "bundle", "--port", str(free_port())]


def test_a_hub_checkpoint_that_is_nowhere_here_is_refused_offline(machine: Any) -> None:
    result = machine.run(*hub_bundle(machine))
    assert result.returncode == 4
    assert "is not in this machine's cache, and the hub is offline" in result.stderr


def test_a_token_that_others_can_read_is_refused(machine: Any) -> None:
    arguments = hub_bundle(machine)
    token = machine.directory / "hub" / "token"
    token.parent.mkdir(exist_ok=True)
    token.write_text("hf_secret")
    token.chmod(0o644)
    result = machine.run(*arguments)
    assert result.returncode == 2
    assert f"chmod 600 {token}" in result.stderr
    assert "hf_secret" not in result.stdout + result.stderr


def test_an_edited_bundle_is_refused(machine: Any, served: Any) -> None:
    arguments = served()
    config = machine.directory / "bundle" / "extra-llm-api-config.yml"
    config.write_text(config.read_text().replace("0.9", "0.8"))
    result = machine.run(*arguments)
    assert result.returncode == 5
    assert "extra-llm-api-config.yml was changed after the build" in result.stderr


def test_a_port_that_the_system_chooses_is_refused(machine: Any, served: Any) -> None:
    result = machine.run(*served()[:-1], "0")
    assert result.returncode == 3


def test_a_deaf_server_is_ended_by_force(tmp_path: Path) -> None:
    """The stand-in ignores SIGTERM; the supervisor waits as long as it promises, here shortened, and then kills."""
    code = (
        "import os, sys, time\nfrom trtnemo.launch.bundle import supervise\n"
        "from trtnemo.launch.bundle.output import Output\nfrom trtnemo.launch.bundle.stages import LogReader\n"
        "supervise.STOP_SECONDS = 1.0\nlines = []\n"
        "server = supervise.SupervisedServer(sys.argv[1:], os.environ, '.', Output(print, lines.append), LogReader())\n"
        "while 'Uvicorn running' not in lines: time.sleep(0.05)\n"
        "server.stop()\nprint(server._process.returncode)"
    )
    words = [sys.executable, str(STAND_IN), "trtllm", "1.3.0rc12", "model", "--port", str(free_port())]
    command = [sys.executable, "-c", code, *words]
    environment = {**os.environ, "STAND_IN": "deaf"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == str(-signal.SIGKILL), done.stderr
