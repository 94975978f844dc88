"""What stands around the pods of a server: an address, a budget for evictions, and who collects its metrics."""

from __future__ import annotations

from typing import Any

from trtnemo.launch.render.manifest.workload import Workload
from trtnemo.launch.servers.registry import find_server


def service(workload: Workload, selector: dict[str, str], name: str | None = None) -> dict[str, Any]:
    """Return the Service before the pods with these labels, of the server's name or another."""
    port = {"name": "http", "port": workload.start.port, "targetPort": "http"}
    spec = {"selector": selector, "ports": [port]}
    metadata = workload.metadata if name is None else {**workload.metadata, "name": name}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def budget(workload: Workload, selector: dict[str, str]) -> dict[str, Any]:
    """Return the PodDisruptionBudget: one server at a time may be moved."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": workload.metadata,
        "spec": spec,
    }


_MONITOR = (
    "The PodMonitor, the last object, needs the Prometheus operator: leave it out where there is none, and give it the "
    "label by which yours chooses monitors (`release`, by default of kube-prometheus-stack)"
)


def monitor(workload: Workload, selector: dict[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the PodMonitor of the Prometheus operator where the server counts, and what is to be known of it."""
    need = workload.in_cluster.metrics_need(workload.start)
    if need:
        return [], [f"No PodMonitor: the server has no metrics for Prometheus without {need}"]
    endpoint = {"port": "http", "path": find_server(workload.start.server).watch.metrics}
    spec = {"selector": {"matchLabels": selector}, "podMetricsEndpoints": [endpoint]}
    found = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": workload.metadata,
        "spec": spec,
    }
    return [found], [_MONITOR]
