"""Where pods find the weights: a volume that a Job fills once from the hub, or a directory of every node."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.recipe import ExternalRecipe

ROOT = "/models"
_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable
_COMPLETE = ".complete"
# Runs in the server's own image; texts of the recipe come by the environment. Written twice, it goes on where it was.
_DOWNLOAD = f"""\
import os, pathlib
from huggingface_hub import snapshot_download

where = pathlib.Path(os.environ["MODEL_DIRECTORY"])
if not (where / "{_COMPLETE}").exists():
    snapshot_download(os.environ["MODEL"], revision=os.environ.get("MODEL_REVISION") or None, local_dir=where)
    (where / "{_COMPLETE}").touch()
"""
_WAIT = f'until [ -e "$MODEL_DIRECTORY/{_COMPLETE}" ]; do echo "the weights are not there yet"; sleep 10; done'


@dataclass(frozen=True)
class Weights:
    """The weights of a recipe in a cluster: their directory, and the hub id with the revision, if they are fetched."""

    directory: str
    hub_id: str | None
    revision: str | None
    claim: str

    @property
    def notes(self) -> list[str]:
        """What the reader of the manifest should know."""
        if self.hub_id is None:
            return [
                f"Every node needs the checkpoint at {self.directory}: it is mounted from there, nothing is fetched"
            ]
        notes = ["The volume is read by many pods (ReadWriteMany): the storage class must have that"]
        if self.revision is None:
            notes.append("No 'revision' in the recipe: the download takes the newest. Pin one to get the same")
        return notes


def weights_of(recipe: ExternalRecipe, name: str) -> Weights:
    """Return where the weights of a recipe lie; raises RecipeError for a path that no node can have."""
    checkpoint, revision = recipe.checkpoint, recipe.revision
    if checkpoint.startswith("/"):
        named = checkpoint.strip("/").split("/")
        if any(part in ("", ".", "..") for part in named):
            raise RecipeError(f"'checkpoint' {checkpoint!r} is no plain path of a directory", where="the recipe")
        return Weights(checkpoint, None, None, "")
    if checkpoint == "tiny" or checkpoint.startswith((".", "~")):
        raise RecipeError(
            f"'checkpoint' {checkpoint!r} is on this machine alone",
            remedy="A cluster needs a hub id, or an absolute path that every node has",
        )
    parts = [re.sub(r"[^A-Za-z0-9._-]", "-", part) for part in (*checkpoint.split("/"), revision or "newest")]
    return Weights("/".join([ROOT, *parts]), checkpoint, revision, f"{name}-weights")


def weight_volume(weights: Weights) -> dict[str, Any]:
    """Return the volume of a pod."""
    if weights.hub_id is None:
        return {"name": "weights", "hostPath": {"path": weights.directory, "type": "Directory"}}
    return {"name": "weights", "persistentVolumeClaim": {"claimName": weights.claim}}


def weight_mount(weights: Weights, *, writable: bool = False) -> dict[str, Any]:
    """Return the mount of a container: read-only, but for the download."""
    path = weights.directory if weights.hub_id is None else ROOT
    mount: dict[str, Any] = {"name": "weights", "mountPath": path}
    return mount if writable else {**mount, "readOnly": True}


def waiting_container(weights: Weights, image: str) -> list[dict[str, Any]]:
    """Return the container that waits until the download is complete, so that it costs no start of the server."""
    if weights.hub_id is None:
        return []
    return [
        {
            "name": "wait-for-weights",
            "image": image,
            "command": ["sh", "-c", _WAIT],
            "env": [{"name": "MODEL_DIRECTORY", "value": weights.directory}],
            "volumeMounts": [weight_mount(weights)],
        }
    ]


def weight_objects(weights: Weights, recipe: ExternalRecipe, image: str, metadata: dict[str, Any]) -> list[Any]:
    """Return the claim and the Job that fills it; `metadata` is what all objects share."""
    if weights.hub_id is None:
        return []
    cluster = recipe.cluster
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": cluster.storage}},
    }
    if cluster.storage_class is not None:
        claim["storageClassName"] = cluster.storage_class
    pod = {
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [_downloader(weights, recipe, image)],
        "volumes": [weight_volume(weights)],
    }
    if cluster.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in cluster.image_pull_secrets]
    job = {"backoffLimit": 10, "template": {"metadata": {"labels": {"app": weights.claim}}, "spec": pod}}
    named = {**metadata, "name": weights.claim}
    # a Job does not change: another revision or image is another Job
    of_what = hashlib.sha256(repr((weights, image)).encode()).hexdigest()[:8]
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": named, "spec": claim},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {**named, "name": f"{weights.claim}-{of_what}"},
            "spec": job,
        },
    ]


def _downloader(weights: Weights, recipe: ExternalRecipe, image: str) -> dict[str, Any]:
    token = {"name": recipe.cluster.token_secret, "key": _TOKEN, "optional": True}
    env: list[dict[str, Any]] = [
        {"name": "MODEL", "value": weights.hub_id},
        {"name": "MODEL_REVISION", "value": weights.revision or ""},
        {"name": "MODEL_DIRECTORY", "value": weights.directory},
        {"name": "HF_HOME", "value": "/tmp/huggingface"},  # noqa: S108 - in the container
        {"name": _TOKEN, "valueFrom": {"secretKeyRef": token}},
    ]
    return {
        "name": "download",
        "image": image,
        "command": ["python3", "-c", _DOWNLOAD],
        "env": env,
        "resources": {"requests": {"memory": "8Gi"}, "limits": {"memory": "16Gi"}},
        # a new volume is root's, and some images run as somebody else
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [weight_mount(weights, writable=True)],
    }
