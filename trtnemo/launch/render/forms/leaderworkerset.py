"""`render --as leaderworkerset`: one server over several nodes, started and ended as a group (LeaderWorkerSet v1)."""

from __future__ import annotations

from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.forms.docker import require_container
from trtnemo.launch.render.forms.kubernetes import command_of
from trtnemo.launch.render.manifest.around import budget, monitor, service
from trtnemo.launch.render.manifest.placement import gpus_of_a_pod
from trtnemo.launch.render.manifest.pod import files_map, pod_spec, secret_notes, server_container, serving
from trtnemo.launch.render.manifest.text import manifest_text
from trtnemo.launch.render.manifest.weights import weight_objects
from trtnemo.launch.render.manifest.workload import Workload, workload

# every container of a set has these, and Kubernetes puts them into its words
_TOLD = {"size": "$(LWS_GROUP_SIZE)", "rank": "$(LWS_WORKER_INDEX)", "leader": "$(LWS_LEADER_ADDRESS)"}
_ROLE = {"role": "leader"}


def render_leaderworkerset(source: Source) -> str:
    """Return the objects of a server over `cluster.nodes` nodes; raises RecipeError where it cannot span them so."""
    work = workload(source)
    size, image = work.recipe.cluster.nodes, require_container(work.start).image
    if work.in_cluster.nodes is None:
        raise RecipeError(
            f"{work.start.server} does not span nodes in a LeaderWorkerSet",
            remedy=work.in_cluster.elsewhere[:1].upper() + work.in_cluster.elsewhere[1:],
        )
    notes = [*work.notes, *secret_notes(work)]
    if size == 1:
        notes.append("'cluster.nodes' is 1: a Deployment does the same (render --as kubernetes)")
    leaders = {**work.labels, **_ROLE}
    monitors, told = monitor(work, leaders)
    objects = [
        *weight_objects(work.weights, work.recipe, image, work.metadata),
        *files_map(work),
        _group(work, image, size),
        # the set's own name is that of the headless Service by which its ranks find each other
        service(work, leaders, f"{work.name}-http"),
        budget(work, work.labels),
        *monitors,
    ]
    return manifest_text(work.title, [*notes, *told], objects)


def _group(work: Workload, image: str, size: int) -> dict[str, Any]:
    template: dict[str, Any] = {
        "size": size,
        # ranks that are restarted alone do not find their group again
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": _pod(work, image, size, leads=True),
        "workerTemplate": _pod(work, image, size, leads=size == 1),
    }
    rollout = {"type": "RollingUpdate", "rollingUpdateConfiguration": {"maxUnavailable": 1, "maxSurge": 0}}
    spec = {
        "replicas": work.recipe.cluster.replicas,
        "rolloutStrategy": rollout,
        "leaderWorkerTemplate": template,
    }
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": work.metadata,
        "spec": spec,
    }


def _pod(work: Workload, image: str, size: int, *, leads: bool) -> dict[str, Any]:
    nodes, more = work.in_cluster.nodes, {}
    if nodes is not None and size > 1:
        more = {name: value.format(**_TOLD) for name, value in nodes.everywhere.items()}
        more |= {} if leads else nodes.followers
    container = server_container(work, image, gpus_of_a_pod(work.gpus, size)) | command_of(work, more)
    labels = {**work.labels, **(_ROLE if leads else {"role": "worker"})}
    return {"metadata": {"labels": labels}, "spec": pod_spec(work, serving(work, container) if leads else container)}


FORM = Form(render_leaderworkerset, is_manifest=True)
