"""`render --as kubernetes`: a Deployment, its Service, and a volume of weights that a Job fills."""

from __future__ import annotations

from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.forms.docker import require_container
from trtnemo.launch.render.manifest.around import budget, monitor, service
from trtnemo.launch.render.manifest.pod import files_map, pod_spec, secret_notes, server_container, serving
from trtnemo.launch.render.manifest.text import manifest_text, verbatim
from trtnemo.launch.render.manifest.weights import weight_objects
from trtnemo.launch.render.manifest.workload import Workload, workload
from trtnemo.launch.render.words import inside, server_words


def render_kubernetes(source: Source) -> str:
    """Return the objects of a server on one node; raises RecipeError where it needs several, or has no image."""
    work = workload(source)
    if work.recipe.cluster.nodes > 1:
        raise RecipeError(
            f"'cluster.nodes' is {work.recipe.cluster.nodes}: a Deployment's pods know nothing of each other",
            where="the recipe",
            remedy="render --as leaderworkerset or --as dynamo",
        )
    image = require_container(work.start).image
    monitors, told = monitor(work, work.labels)
    objects = [
        *weight_objects(work.weights, work.recipe, image, work.metadata),
        *files_map(work),
        _deployment(work, image),
        service(work, work.labels),
        budget(work, work.labels),
        *monitors,
    ]
    return manifest_text(work.title, [*work.notes, *secret_notes(work), *told], objects)


def _deployment(work: Workload, image: str) -> dict[str, Any]:
    container = {**server_container(work, image, work.gpus), **command_of(work)}
    pod = pod_spec(work, serving(work, container))
    spec = {
        "replicas": work.recipe.cluster.replicas,
        # the default would ask for a second set of GPUs before it gives the first one back
        "strategy": {"type": "Recreate"},
        "progressDeadlineSeconds": 7200,
        "selector": {"matchLabels": work.labels},
        "template": {"metadata": {"labels": work.labels}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": work.metadata, "spec": spec}


def command_of(work: Workload, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a container of the server's image runs; `more` are options whose values Kubernetes puts in."""
    dialect = work.start.surface.dialect
    words = [verbatim(word) for word in server_words(work.start, inside, with_program=False)]
    for name, value in (more or {}).items():
        words += [name] if value is True else [name, str(value)]
    return {"args": words} if dialect.image_starts_it else {"command": list(dialect.words), "args": words}


FORM = Form(render_kubernetes, is_manifest=True)
