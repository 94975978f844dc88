"""What one form of a start is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trtnemo.launch.render.client_endpoint import ClientEndpoint
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.recipe import AnyRecipe


@dataclass(frozen=True)
class Source:
    """What a form is written from: a recipe with its name, the start that it means, and GPUs of one node."""

    name: str
    recipe: AnyRecipe
    invocation: Invocation
    devices_per_node: int = 8


@dataclass(frozen=True)
class Form:
    """A start, written down. `is_manifest`: its text is objects of Kubernetes, which can be validated.

    `write` raises RecipeError for what it cannot say.
    """

    write: Callable[[Source], str]
    is_manifest: bool = False


@dataclass(frozen=True)
class ClientForm:
    """A configuration of a client; `external_only` where it is of use for servers that are not ours."""

    write: Callable[[AnyRecipe, ClientEndpoint], str]
    external_only: bool = False
