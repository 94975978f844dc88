"""Which recipe runs a model on this machine: the one that was named, the GPU's, or the CPU's, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trtnemo.checkpoint.family.releases import RELEASES, find_release
from trtnemo.errors import MachineError, RecipeError, TrtnemoError, UsageError
from trtnemo.gpus import list_devices
from trtnemo.launch.asked import asked_model
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.hardware import DeviceMemory, cpu_device, recipe_device
from trtnemo.plan.network import Network, find_network
from trtnemo.plan.plan import judge_deployment
from trtnemo.plan.verdict import Verdict
from trtnemo.recipe import AnyRecipe, ExternalRecipe, load_recipe
from trtnemo.recipe.detected import GPU
from trtnemo.recipe.source import shipped_names

_SHORT = 1024  # tokens of a context that any use takes
CPU_RECIPE = "nano-cpu"  # whose limits fit a laptop; another checkpoint takes the place of its own


@dataclass(frozen=True)
class Chosen:
    """A recipe with its settings applied, its name, why it was chosen, and whether it fits this machine."""

    recipe: AnyRecipe
    name: str
    why: str
    network: Network
    verdict: Verdict


def names_recipe(model: str) -> bool:
    """Return whether a word names a recipe, and not a checkpoint."""
    return model in shipped_names() or model == GPU or model.endswith((".yaml", ".yml"))


def choose(model: str, settings: tuple[str, ...] = (), revision: str | None = None) -> Chosen:
    """Return what runs a recipe, a directory, a hub id or `tiny` here; reads no weights.

    Of a checkpoint, a GPU that it fits comes first, then the CPU. Raises RecipeError for recipes of external servers,
    CheckpointError, and MachineError, which says what would fit, where this machine has not the memory.
    """
    if names_recipe(model):
        recipe = load_recipe(model, settings)
        if isinstance(recipe, ExternalRecipe):
            raise RecipeError(f"runtime '{recipe.runtime}' is another server's", where=model,
                              remedy=f"`trtnemo serve --recipe {model}` starts it")  # fmt: skip
        network = find_network(recipe.checkpoint, recipe.revision)
        return _judged(Chosen(recipe, model, "the recipe was named", network, _verdict(recipe, network)))
    asked = asked_model(model, revision)
    network = find_network(asked.name, asked.revision)
    pinned = settings if asked.revision is None else (*settings, f"revision={asked.revision}")
    found, reason = _on_gpu(asked.name, pinned, network)
    if found is not None:
        return found
    recipe = load_recipe(CPU_RECIPE, pinned, asked.name)
    return _judged(Chosen(recipe, CPU_RECIPE, f"no GPU: {reason}", network, _verdict(recipe, network)))


def _on_gpu(model: str, settings: tuple[str, ...], network: Network) -> tuple[Chosen | None, str]:
    """Return what runs a checkpoint on the GPU that is here, or why nothing does."""
    devices = list_devices()
    if not devices.devices:
        return None, devices.failure or "there is none"
    try:
        recipe = load_recipe(GPU, settings, model)
        verdict = _verdict(recipe, network)
    except UsageError:
        raise
    except TrtnemoError as error:
        return None, error.what
    if verdict.kind != "fits":
        return None, verdict.sentence
    return Chosen(recipe, GPU, f"{devices.devices[0].name} has room for it", network, verdict), ""


def _verdict(recipe: AnyRecipe, network: Network) -> Verdict:
    """Return whether a recipe fits: of the CPU, this machine's own memory, whatever a recipe states."""
    device: DeviceMemory = cpu_device("") if recipe.hardware.name == "cpu" else recipe_device(recipe.hardware)
    return judge_deployment(network, to_deployment(recipe, network), device)


def _judged(chosen: Chosen) -> Chosen:
    if chosen.verdict.kind == "no":
        raise MachineError(chosen.verdict.sentence, where=chosen.recipe.checkpoint, remedy=_what_fits(chosen))
    return chosen


def _what_fits(chosen: Chosen) -> str:
    """Return a sentence on what would fit: less of this, its network in fewer bits, or another of the family."""
    limits = chosen.recipe.limits
    least = limits.model_copy(update={"max_batch_size": 1, "max_seq_len": min(limits.max_seq_len, _SHORT)})
    if _verdict(chosen.recipe.model_copy(update={"limits": least}), chosen.network).kind == "fits":
        return (
            f"Its weights fit: lower limits.max_batch_size ({limits.max_batch_size:,}) or limits.max_seq_len "
            f"({limits.max_seq_len:,})"
        )
    own = Path(chosen.recipe.checkpoint).name
    names = [name for name in RELEASES if Path(name).name != own]
    same = [
        name for name in names if (found := find_release(name)) and found.config.has_layers_of(chosen.network.config)
    ]
    for name in (*same, *(name for name in names if name not in same)):
        try:
            recipe = load_recipe(CPU_RECIPE, (), name)
            if _verdict(recipe, find_network(name)).kind == "fits":
                return f"{name} fits this machine"
        except TrtnemoError:
            continue
    smallest = "" if own == "tiny" else "; `tiny` does"
    return f"No released model fits this machine{smallest}. `trtnemo plan` shows what each takes"
