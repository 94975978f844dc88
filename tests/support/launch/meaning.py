"""What a start means, however it is written."""

from __future__ import annotations

from typing import Any

from trtnemo.launch.servers.invocation import Invocation
from trtnemo.recipe import ExternalRecipe, load_recipe, shipped_names

EXTERNAL = [name for name in shipped_names() if isinstance(load_recipe(name), ExternalRecipe)]
SECRETS_ASIDE = "HF_TOKEN"


def meaning(invocation: Invocation) -> tuple[Any, ...]:
    """Return what a start means: options with defaults left out, YAML, variables, container."""
    surface = invocation.surface
    defaults = {option.name: option.default for option in surface.options}
    options = {name: value for name, value in invocation.options.items() if value != defaults.get(name)}
    plugin = options.pop("--reasoning-parser-plugin", None)
    env = {name: value for name, value in invocation.env.items() if name != SECRETS_ASIDE}
    container = invocation.container
    told = container and (
        container.image,
        container.shm_size,
        dict(container.ulimits),
        container.workdir,
        dict(container.ports),
        {target.removesuffix(":ro") for target in container.mounts.values()},
    )
    return (
        invocation.server,
        invocation.version,
        invocation.model,
        options,
        bool(plugin),
        invocation.llm_args,
        env,
        told,
    )
