"""Every plan of an engine built, one by one; what a build that was interrupted had finished is kept for the next."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from trtnemo.backends.tensorrt.lower.emit import emit
from trtnemo.backends.tensorrt.lower.index import PlanIndex
from trtnemo.backends.tensorrt.lower.networks import NetworkSpec, plan_networks
from trtnemo.backends.tensorrt.lower.record import PlanRecord
from trtnemo.backends.tensorrt.lower.settings import Settings
from trtnemo.backends.tensorrt.lower.stored import formats, stored_elements
from trtnemo.backends.tensorrt.lower.targets import Target
from trtnemo.checkpoint import Checkpoint
from trtnemo.errors import EngineError
from trtnemo.files.lock import LockedError, locked
from trtnemo.graph import Graph
from trtnemo.recipe import TensorrtRecipe
from trtnemo.trt.build import PlanBuilder, Profile
from trtnemo.trt.writer import NetworkWriter

PLANS = "tensorrt"
PLAN_INDEX = f"{PLANS}/plans.json"
Progress = Callable[[str, int, int], None]


def plan_file(name: str) -> str:
    """Return where an engine holds a plan."""
    return f"{PLANS}/{name}.plan"


def build_plans(
    recipe: TensorrtRecipe, checkpoint: Checkpoint, graphs: Sequence[Graph], kept: Path, progress: Progress
) -> PlanIndex:
    """Build what is missing in `kept` and return the index; raises RecipeError, EngineError, MachineError."""
    target = Target.from_recipe(recipe)
    library, settings = target.library, target.settings
    plain = stored_elements(checkpoint, graphs)
    target.require(formats(graphs), plain.values())
    networks, programs = plan_networks(graphs, plain, settings)
    builder = PlanBuilder(library, target.capability)
    records = []
    for number, spec in enumerate(networks.values(), start=1):
        progress(f"plan {number} of {len(networks)}: {spec.name}", 0, 0)
        records.append(_build_or_keep(spec, settings, builder, kept))
    return PlanIndex(
        flavor=library.flavor,
        version=library.version,
        compute_capability=target.device,
        host=platform.machine(),
        settings=settings,
        plain=plain,
        plans=tuple(records),
        programs=programs,
    )


@contextmanager
def unfinished_plans(output: Path) -> Iterator[Path]:
    """Yield the directory of an output's unfinished plans, ours alone; raises EngineError where another build has it.

    When the block ends well it is deleted; else it stays for the next build, unless no plan was finished.
    """
    kept = output.parent / f".{output.name}.plans"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with locked(kept / "lock"):
            try:
                yield kept
            except BaseException:
                if not any(kept.glob("*.json")):
                    shutil.rmtree(kept, ignore_errors=True)
                raise
            shutil.rmtree(kept, ignore_errors=True)
    except LockedError:
        raise EngineError("is being built by another process", where=str(output), remedy="Wait for it") from None
    except OSError as error:
        raise EngineError(f"cannot be written: {error.strerror}", where=str(output)) from None


def place_plans(index: PlanIndex, kept: Path, staging: Path) -> None:
    """Copy finished plans and their index into an engine; raises EngineError where one is no longer what was built."""
    (staging / PLANS).mkdir()
    for record in index.plans:
        note, placed = _read_finished(kept / f"{record.name}.json"), staging / plan_file(record.name)
        shutil.copyfile(kept / f"{record.name}.plan", placed)
        if note is None or _digest(placed) != note.sha256:
            raise EngineError("was changed while the engine was built", where=record.name, remedy="Build again")
    (staging / PLAN_INDEX).write_text(index.model_dump_json(indent=1), encoding="utf-8")


def read_index(directory: Path) -> PlanIndex:
    """Return the index of an engine's plans; raises EngineError."""
    try:
        return PlanIndex.model_validate_json((directory / PLAN_INDEX).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        detail = str(error).splitlines()[0]
        raise EngineError(f"cannot be read: {detail}", where=PLAN_INDEX, remedy="Rebuild the engine") from None


def _build_or_keep(spec: NetworkSpec, settings: Settings, builder: PlanBuilder, kept: Path) -> PlanRecord:
    net, asked = emit(spec, settings, builder)
    profile = spec.profile(net, settings)
    source = _built_from(asked, profile, builder)
    plan, note = kept / f"{spec.name}.plan", kept / f"{spec.name}.json"
    finished = _read_finished(note)
    if finished is not None and finished.built_from == source and _digest(plan) == finished.sha256:
        return finished.model_copy(update={"paths": asked.paths})
    started = time.monotonic()
    try:
        built = builder.build(net.network, profile)
    except EngineError as error:
        raise EngineError(error.what, where=_blame(spec, net, error.what), remedy=error.remedy) from None
    record = asked.model_copy(
        update={
            "plan_bytes": len(built),
            "activation_bytes": builder.activation_bytes,
            "constant_bytes": builder.constant_bytes,
            "seconds": round(time.monotonic() - started, 3),
            "built_from": source,
            "sha256": hashlib.sha256(built).hexdigest(),
        }
    )
    # the note is written last: a plan without one is built again
    note.unlink(missing_ok=True)
    plan.write_bytes(built)
    note.write_text(record.model_dump_json(), encoding="utf-8")
    return record


def _built_from(asked: PlanRecord, profile: Profile, builder: PlanBuilder) -> str:
    parts: list[object] = [asked.network_digest, sorted(profile.items())]
    parts += [builder.library.flavor, builder.library.version, builder.capability]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _read_finished(note: Path) -> PlanRecord | None:
    try:
        return PlanRecord.model_validate_json(note.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _blame(spec: NetworkSpec, net: NetworkWriter, text: str) -> str:
    """Return the node that the builder's words name, in every layer that shares the network."""
    names = {str(net.network.get_layer(index).name) for index in range(net.network.num_layers)}
    named: Mapping[str, str] = {name: name.rpartition("/")[0] for name in names if "/" in name}
    local = next((named[word] for word in re.findall(r"[\w.\-]+/\d+", text) if word in named), "")
    node = f"{spec.paths[0]}.{local}" if local else spec.paths[0]
    shared = f" and {len(spec.paths) - 1} layers like it" if len(spec.paths) > 1 else ""
    return f"{node}{shared} ({spec.kind}, {spec.phase})"
