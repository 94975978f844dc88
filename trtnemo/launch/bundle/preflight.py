"""What must hold before an external server is started; everything is looked at before anything is begun."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trtnemo.engine.manifest import BundleManifest, CheckpointReference
from trtnemo.errors import CheckpointError, MachineError, RecipeError, ServerError, TrtnemoError, UsageError
from trtnemo.front.listen import bind
from trtnemo.gpus import DeviceList, InstalledDevice, list_devices
from trtnemo.launch.bundle.bundle import audit_reference, is_local
from trtnemo.launch.bundle.sealed import SealedStart
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.hardware import DeviceMemory
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import judge_deployment
from trtnemo.recipe import AnyRecipe

DOCKER_SECONDS = 30


@dataclass(frozen=True)
class Step:
    """One thing looked at: what, whether it holds, in words, and the error that it is where it does not."""

    name: str
    text: str
    failure: TrtnemoError | None = None


@dataclass(frozen=True)
class Preflight:
    """All steps; `starts_with` is the program on this machine, or `docker`."""

    steps: tuple[Step, ...]
    starts_with: str | None

    def require(self) -> None:
        """Raise the first failure, with everything that was looked at."""
        failed = next((step for step in self.steps if step.failure is not None), None)
        if failed is not None and failed.failure is not None:
            raise failed.failure


def preflight(
    start: SealedStart, recipe: AnyRecipe, audited: CheckpointReference | None = None, *, held: bool = False
) -> Preflight:
    """Return what holds and what does not; starts nothing and writes nothing.

    `audited` is the checkpoint where it was audited a moment ago; else it is audited here. held: a server that is to
    give its place has the port still, and the GPUs' memory.
    """
    starts_with = _starter(start.manifest, start.server.program)
    steps = [
        *(() if held else _device_steps(recipe, list_devices())),
        _starter_step(start.manifest, start.server.program, starts_with),
        *(() if held else [_port_step(*start.address)]),
        *_token_step(recipe),
        _checkpoint_step(recipe, audited),
    ]
    return Preflight(tuple(steps), starts_with)


def _starter(manifest: BundleManifest, program: str) -> str | None:
    if shutil.which(program) is not None:
        return program
    return "docker" if manifest.image is not None and shutil.which("docker") is not None else None


def _starter_step(manifest: BundleManifest, program: str, starts_with: str | None) -> Step:
    if starts_with == program:
        return Step("program", f"{program} is on PATH")
    if starts_with == "docker":
        return _image_step(str(manifest.image))
    lacks = f"neither {program} nor docker is" if manifest.image is not None else f"{program} is not"
    extra = "" if manifest.image is not None else ", and the recipe names no image"
    failure = MachineError(f"{lacks} on PATH{extra}", where="this machine", remedy=f"Install {program} or docker")
    return Step("program", failure.what, failure)


def _image_step(image: str) -> Step:
    """Ask docker whether its daemon answers, and whether the image is here or will be pulled."""
    if not _docker("version"):
        failure = MachineError(
            "docker's daemon does not answer", where="this machine", remedy="Start it, and try again"
        )
        return Step("image", failure.what, failure)
    is_here = _docker("image", "inspect", image)
    return Step("image", f"{image} is here" if is_here else f"{image} is not here yet: docker pulls it")


def _docker(*words: str) -> bool:
    try:
        return subprocess.run(["docker", *words], capture_output=True, timeout=DOCKER_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _device_steps(recipe: AnyRecipe, listed: DeviceList) -> Iterator[Step]:
    wanted, devices = recipe.hardware, listed.devices
    found = ", ".join(f"{device.name} ({device.memory_mib} MiB)" for device in devices) or "none"
    if len(devices) < wanted.count:
        failure = MachineError(
            f"the recipe is for {wanted.count} GPU{'s' if wanted.count > 1 else ''} ({wanted.name}), this machine has "
            f"{len(devices) or 'none'}{f': {listed.failure}' if listed.failure else ''}",
            remedy="`trtnemo render` writes the command for a machine that has them",
        )
        yield Step("devices", f"found: {found}", failure)
        return
    yield Step("devices", f"found: {found}")
    capability = wanted.compute_capability
    if capability is not None and devices[0].compute_capability != capability:
        yield Step("compute capability", f"{devices[0].compute_capability}, the recipe is written for {capability}")
    yield _memory_step(recipe, devices[: wanted.count])


def _memory_step(recipe: AnyRecipe, devices: Sequence[InstalledDevice]) -> Step:
    """Plan the recipe on the devices that are there, the smallest of them."""
    smallest = min(devices, key=lambda device: device.memory_mib)
    here = DeviceMemory(title=smallest.name, memory_mib=max(smallest.memory_mib, 1))
    try:
        network = find_network(recipe.checkpoint, recipe.revision)
        verdict = judge_deployment(network, to_deployment(recipe, network), here)
    except CheckpointError as error:
        return Step("memory", f"not planned: {error.what}")
    except RecipeError as error:
        return Step("memory", error.what, error)
    if verdict.kind == "no":
        remedy = "Use more or larger devices, or fewer sequences: `trtnemo plan` says which"
        return Step("memory", verdict.sentence, MachineError(verdict.sentence, remedy=remedy))
    return Step("memory", verdict.sentence)


def _port_step(host: str, port: int) -> Step:
    try:
        bind(host, port).close()
    except ServerError as error:
        return Step("port", error.what, error)
    return Step("port", f"{host}:{port} is free")


def _token_step(recipe: AnyRecipe) -> Iterator[Step]:
    """Look at the hub's token file, where a hub id is served: others must not be able to read it."""
    if is_local(recipe.checkpoint):
        return
    path = Path(os.environ.get("HF_TOKEN_PATH") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "token")
    path = path.expanduser()
    try:
        mode = path.stat().st_mode
    except OSError:
        yield Step("token", "no token file")
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        failure = UsageError("the token file can be read by others", where=str(path), remedy=f"chmod 600 {path}")
        yield Step("token", failure.what, failure)
    else:
        yield Step("token", "the token file is its owner's alone")


def _checkpoint_step(recipe: AnyRecipe, audited: CheckpointReference | None) -> Step:
    """Audit the checkpoint's headers where it is; of a hub id that is not in the cache, by range requests."""
    try:
        reference = audited or audit_reference(recipe)
        if reference.audited:
            return Step("checkpoint", "its headers were audited")
        if _is_offline():
            raise CheckpointError(
                reference.reason, where=recipe.checkpoint, remedy="Fetch it first, or give a local directory"
            )
        return Step("checkpoint", f"not audited: {reference.reason}; the server is left to fetch it")
    except CheckpointError as error:
        return Step("checkpoint", error.what, error)


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
