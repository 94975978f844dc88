"""How long a pod may take to start and to end, and what takes its place meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import gpus_of, items, mapping
from trtnemo.launch.manifests.rule import Manifest

# weights of tens of gigabytes, compilation, graphs: 6 to 9 minutes where all is at hand, 30 with a slow volume
_START_SECONDS = 1800
_DEFAULT_GRACE = 30
_DRAIN = re.compile(r"--shutdown-timeout[= ]+(\d+)")


def _startup(manifest: Manifest) -> Iterator[Finding]:
    """Find pods with GPUs that are ended before they can have loaded."""
    for pod in manifest.pods:
        for container in pod.containers:
            probe = container.get("startupProbe")
            if not gpus_of(container) or not isinstance(probe, Mapping):
                continue
            seconds = _budget(probe)
            if seconds is not None and seconds < _START_SECONDS:
                message = f"gives a start {seconds / 60:.0f} minutes: with weights on a slow volume it takes 30"
                remedy = "Give periodSeconds: 10 and failureThreshold: 180"
                yield Finding("warning", "startup-budget", f"{pod.title} {container.get('name')}", message, remedy)


def _budget(probe: Mapping[str, Any]) -> int | None:
    given = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}
    delay, period, failures = (probe.get(key, default) for key, default in given.items())
    numbers = [value for value in (delay, period, failures) if isinstance(value, int)]
    return numbers[0] + numbers[1] * numbers[2] if len(numbers) == 3 else None


def _liveness(manifest: Manifest) -> Iterator[Finding]:
    """Find liveness that is asked of what a dead engine answers as well."""
    for pod in manifest.pods:
        for container in pod.containers:
            path = mapping(mapping(container.get("livenessProbe")).get("httpGet")).get("path")
            if str(path).rstrip("/").endswith("/v1/models"):
                message = "/v1/models answers where the engine behind it is dead"
                title = f"{pod.title} {container.get('name')} livenessProbe"
                yield Finding("warning", "liveness-path", title, message, "Ask /health")


def _grace(manifest: Manifest) -> Iterator[Finding]:
    """Find pods that are killed while the server still lets its requests finish."""
    for pod in manifest.pods:
        grace = pod.spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
        for container in pod.containers:
            words = " ".join(str(word) for key in ("command", "args") for word in items(container.get(key)))
            match = _DRAIN.search(words)
            if match and isinstance(grace, int) and int(match[1]) >= grace:
                message = f"is killed after {grace} s, and the server takes {match[1]} s to end its requests"
                remedy = "Make terminationGracePeriodSeconds larger than --shutdown-timeout"
                yield Finding("error", "grace-period", f"{pod.title} {container.get('name')}", message, remedy)


def _surge(manifest: Manifest) -> Iterator[Finding]:
    """Find Deployments with GPUs that ask for a second set of them when they are changed."""
    for owner in manifest.objects:
        if owner.kind != "Deployment" or not any(pod.gpus for pod in manifest.pods if pod.owner is owner):
            continue
        strategy = mapping(owner.spec.get("strategy"))
        surge = mapping(strategy.get("rollingUpdate")).get("maxSurge", "25%")
        if strategy.get("type", "RollingUpdate") == "RollingUpdate" and surge not in (0, "0", "0%"):
            message = "a change asks for GPUs beside those in use, and waits where there are none"
            remedy = "Give strategy: {type: Recreate}, or maxSurge: 0"
            yield Finding("warning", "surge", f"{owner.title} spec.strategy", message, remedy)


RULES = (_startup, _liveness, _grace, _surge)
