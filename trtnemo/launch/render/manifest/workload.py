"""A recipe as a cluster runs it: its name, its start with the weights of the cluster, and its GPUs."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.render.client_endpoint import served_name
from trtnemo.launch.render.form import Source
from trtnemo.launch.render.forms.docker import EVERYWHERE
from trtnemo.launch.render.manifest.placement import gpus_of, node_choice
from trtnemo.launch.render.manifest.weights import Weights, weights_of
from trtnemo.launch.servers.in_cluster import InCluster
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe import ExternalRecipe

# 32,768 tokens at 60 to 150 a second are 4 to 9 minutes
GRACE_SECONDS = 600
# until a Service has forgotten a pod that ends
FORGET_SECONDS = 10
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Workload:
    """What every form for clusters is made from. `gpus`: of one server, over all its nodes."""

    name: str
    recipe: ExternalRecipe
    start: Invocation
    weights: Weights
    gpus: int
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """What its pods are found by."""
        return {"app": self.name}

    @property
    def metadata(self) -> dict[str, Any]:
        """What all its objects share; the name is to be changed where an object has one of its own."""
        named: dict[str, Any] = {"name": self.name}
        if self.recipe.cluster.namespace is not None:
            named["namespace"] = self.recipe.cluster.namespace
        return {**named, "labels": self.labels}

    @property
    def title(self) -> str:
        """The first line of the manifest."""
        return f"{self.start.surface.title if self.start.version else self.start.server}: {self.recipe.description}"

    @property
    def in_cluster(self) -> InCluster:
        """What the server says of its pods."""
        return find_server(self.start.server).in_cluster


def workload(source: Source, *, halves: bool = False) -> Workload:
    """Return a recipe as a cluster runs it; raises RecipeError for what no pod can have.

    halves: whether the form says them too.
    """
    recipe = source.recipe
    if not isinstance(recipe, ExternalRecipe):
        raise RecipeError(f"runtime '{recipe.runtime}' is our own: manifests are written for the others")
    name = object_name(source.name)
    weights = weights_of(recipe, name)
    there = recipe.model_copy(
        update={"checkpoint": weights.directory, "revision": None, "served_model_names": (served_name(recipe),)}
    )
    there.model_fields_set.add("served_model_names")
    start = to_invocation(there)
    unlimited = [limit for limit in (start.container.ulimits if start.container else {}) if limit != "memlock"]
    apart = recipe.cluster.disaggregation is not None
    notes = ["'cluster.disaggregation' is said by --as dynamo alone"] if apart and not halves else []
    notes += [f"A pod has no limit of its processes' {limit}: set it on the nodes" for limit in unlimited]
    notes += [*weights.notes, *node_choice(recipe)[1]]
    return Workload(name, recipe, _everywhere(start), weights, gpus_of(recipe, start), tuple(notes))


def object_name(text: str) -> str:
    """Return a name that objects may have, made from a recipe's; raises RecipeError where nothing is left of it."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    if not name or not name[0].isalpha():
        raise RecipeError(
            f"the recipe's name {text!r} becomes no name of an object of Kubernetes",
            remedy="Begin its file's name with a letter from a to z",
        )
    return name


def _everywhere(start: Invocation) -> Invocation:
    """Return a start that listens on every address of its pod, and says so."""
    server = find_server(start.server)
    options = dict(start.options)
    if server.dialect.default_host is not None or "--host" in options:
        options["--host"] = EVERYWHERE
    drain = server.in_cluster.drain_option
    option = start.surface.find(drain) if drain is not None else None
    if option is not None:
        options.setdefault(option.name, GRACE_SECONDS - 4 * FORGET_SECONDS)
    return dataclasses.replace(start, options=options)
