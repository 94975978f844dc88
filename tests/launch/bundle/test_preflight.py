"""Each thing that is looked at before a start, at its edges: devices, programs, ports, tokens, checkpoints."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from tests.support.launch.machine import write_program
from trtnemo.engine.manifest import CheckpointReference
from trtnemo.errors import CheckpointError, MachineError, RecipeError, UsageError
from trtnemo.gpus import DeviceList, InstalledDevice
from trtnemo.launch.bundle import preflight as looks
from trtnemo.launch.bundle.preflight import Preflight, Step
from trtnemo.recipe import load_recipe

B200 = InstalledDevice("NVIDIA B200", 183_359, "10.0")
SMALL = InstalledDevice("Small", 1000, "10.0")


@pytest.fixture
def recipe() -> Any:
    return load_recipe("b200")


def kinds(steps: Any) -> Any:
    return [(step.name, type(step.failure) if step.failure else None) for step in steps]


def devices(recipe: Any, *found: Any) -> Any:
    return list(looks._device_steps(recipe, DeviceList(found)))


@pytest.fixture
def unplanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the plan out, which takes a second."""
    monkeypatch.setattr(looks, "_memory_step", lambda recipe, devices: Step("memory", f"{len(devices)} devices"))


def test_as_many_devices_as_the_recipe_names_are_enough(recipe: Any, unplanned: Any) -> None:
    assert kinds(devices(recipe, B200)) == [("devices", None), ("memory", None)]
    assert devices(recipe, B200)[0].text == "found: NVIDIA B200 (183359 MiB)"
    (none,) = devices(recipe)
    assert none.text == "found: none"
    assert "is for 1 GPU (b200), this machine has none" in none.failure.what
    eight = load_recipe("b200x8-throughput")
    (seven,) = devices(eight, *[B200] * 7)
    assert "is for 8 GPUs (b200), this machine has 7" in seven.failure.what
    assert devices(eight, *[B200] * 8)[0].failure is None
    assert [devices(eight, *[B200] * count)[-1].text for count in (8, 9)] == ["8 devices"] * 2


@pytest.mark.parametrize(("capability", "told"), [("10.0", False), ("12.0", True), (None, False)])
def test_another_compute_capability_is_told_and_no_failure(
    recipe: Any, unplanned: Any, capability: str | None, told: bool
) -> None:
    hardware = recipe.hardware.model_copy(update={"compute_capability": capability})
    steps = devices(recipe.model_copy(update={"hardware": hardware}), B200)
    found = [step for step in steps if step.name == "compute capability"]
    assert [step.failure for step in found] == [None] * told
    if told:
        assert found[0].text == "10.0, the recipe is written for 12.0"


def test_memory_is_planned_on_the_smallest_of_the_devices_that_are_used(recipe: Any) -> None:
    eight = load_recipe("b200x8-throughput")
    assert looks._memory_step(eight, [B200] * 8).failure is None
    memory = looks._memory_step(eight, [*[B200] * 4, SMALL, *[B200] * 3])
    assert isinstance(memory.failure, MachineError)
    assert memory.text.startswith("does not fit: 8x Small")


def test_memory_that_cannot_be_planned_stops_only_a_recipe_that_contradicts_itself(recipe: Any) -> None:
    unknown = devices(recipe.model_copy(update={"checkpoint": "owner/none-such"}), B200)[-1]
    assert (unknown.text.startswith("not planned: "), unknown.failure) == (True, None)
    split = recipe.model_copy(update={"parallel": recipe.parallel.model_copy(update={"tensor": 2})})
    assert isinstance(devices(split, B200)[-1].failure, RecipeError)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that puts programs on an otherwise empty PATH."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))

    def put(**scripts: str) -> None:
        for name, text in scripts.items():
            write_program(place / name, text)

    return put


def starter(image: Any) -> Any:
    manifest: Any = SimpleNamespace(image=image)
    found = looks._starter(manifest, "vllm")
    return found, looks._starter_step(manifest, "vllm", found)


def test_a_program_on_path_goes_before_docker_and_docker_needs_an_image(programs: Any) -> None:
    for image, told in (
        (None, "vllm is not on PATH, and the recipe names no image"),
        ("i:1", "neither vllm nor docker is on PATH"),
    ):
        found, step = starter(image)
        assert (found, type(step.failure)) == (None, MachineError)
        assert step.text == told
    programs(docker="exit 0")
    assert starter(None)[0] is None
    assert starter("i:1")[0] == "docker"
    programs(vllm="exit 1")
    for image in (None, "i:1"):
        found, step = starter(image)
        assert (found, step) == ("vllm", Step("program", "vllm is on PATH"))


@pytest.mark.parametrize(
    ("script", "told", "fails"),
    [
        ("exit 0", "i:1 is here", False),
        ('[ "$1" = version ]', "i:1 is not here yet: docker pulls it", False),
        ('[ "$*" = version ] || [ "$*" = "image inspect i:1" ]', "i:1 is here", False),
        ("exit 1", "docker's daemon does not answer", True),
        ("exec /bin/sleep 5", "docker's daemon does not answer", True),
    ],
)
def test_docker_is_asked_for_its_daemon_and_the_image(
    programs: Any, monkeypatch: pytest.MonkeyPatch, script: str, told: str, fails: bool
) -> None:
    monkeypatch.setattr(looks, "DOCKER_SECONDS", 0.3 if "sleep" in script else 30)
    programs(docker=script)
    step = starter("i:1")[1]
    assert (step.name, step.text, step.failure is not None) == ("image", told, fails)


def test_a_port_is_free_or_somebodys() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        failure = looks._port_step("127.0.0.1", port).failure
        assert failure is not None
        assert "cannot listen on 127.0.0.1" in failure.what
    assert looks._port_step("127.0.0.1", port) == Step("port", f"127.0.0.1:{port} is free")
    assert looks._port_step("127.0.0.1", port).failure is None  # looking at it keeps it free


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    path = tmp_path / "hf" / "token"
    path.parent.mkdir()
    path.write_text("hf_secret")
    return path


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666, 0o700, 0o600, 0o400])
def test_a_token_that_others_can_read_is_refused(recipe: Any, token: Any, mode: int) -> None:
    """Or the group, or whoever may write or run it."""
    token.chmod(mode)
    (step,) = looks._token_step(recipe)
    if mode & 0o077:
        assert isinstance(step.failure, UsageError)
        assert str(token) in str(step.failure)
    else:
        assert step == Step("token", "the token file is its owner's alone")


def test_the_token_is_where_the_hubs_client_looks_for_it(
    recipe: Any, token: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, home = tmp_path / "other", tmp_path / "home" / ".cache" / "huggingface"
    other.write_text("x")
    other.chmod(0o644)
    token.chmod(0o600)
    assert next(looks._token_step(recipe)).failure is None
    monkeypatch.setenv("HF_TOKEN_PATH", str(other))
    assert next(looks._token_step(recipe)).failure is not None
    monkeypatch.setenv("HF_TOKEN_PATH", "~/none")
    assert next(looks._token_step(recipe)) == Step("token", "no token file")
    monkeypatch.delenv("HF_TOKEN_PATH")
    monkeypatch.delenv("HF_HOME")
    assert next(looks._token_step(recipe)) == Step("token", "no token file")
    home.mkdir(parents=True)
    (home / "token").write_text("x")
    (home / "token").chmod(0o640)
    assert next(looks._token_step(recipe)).failure is not None


def test_a_local_checkpoint_needs_no_token(recipe: Any, token: Any, tmp_path: Path) -> None:
    token.chmod(0o644)
    for name in ("tiny", str(tmp_path), "./model", "/nowhere", "~/model"):
        assert list(looks._token_step(recipe.model_copy(update={"checkpoint": name}))) == []


@pytest.mark.parametrize(("offline", "fails"), [(True, True), (False, False)])
def test_a_checkpoint_that_nobody_read_is_left_to_the_server_unless_the_hub_is_offline(
    recipe: Any, monkeypatch: pytest.MonkeyPatch, offline: bool, fails: bool
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    unread = CheckpointReference(name="o/m", revision=None, audited=False, reason="the connection failed")
    step = looks._checkpoint_step(recipe, unread)
    assert (isinstance(step.failure, CheckpointError), "the connection failed" in step.text) == (fails, True)
    if not fails:
        assert step.text == "not audited: the connection failed; the server is left to fetch it"


def test_a_checkpoint_is_audited_here_unless_it_just_was(recipe: Any, tmp_path: Path) -> None:
    audited = CheckpointReference(name="o/m", revision=None, audited=True)
    assert looks._checkpoint_step(recipe, audited) == Step("checkpoint", "its headers were audited")
    here = recipe.model_copy(update={"checkpoint": "tiny"})
    assert looks._checkpoint_step(here, None) == Step("checkpoint", "its headers were audited")
    nowhere = recipe.model_copy(update={"checkpoint": str(tmp_path)})
    assert isinstance(looks._checkpoint_step(nowhere, None).failure, CheckpointError)


def test_the_first_failure_is_raised() -> None:
    first, second = MachineError("first"), UsageError("second")
    steps = (Step("a", "fine"), Step("b", "x", first), Step("c", "y", second))
    with pytest.raises(MachineError, match="first"):
        Preflight(steps, None).require()
    Preflight(steps[:1], "vllm").require()
