"""Probes of a Kubernetes container, held against the port that the server listens on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trtnemo.findings import Finding

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def probe_findings(content: Mapping[str, Any]) -> Callable[[int], list[Finding]]:
    """Return what finds the probes that ask another port than the server's, once that is known."""
    named = {
        port.get("name"): port.get("containerPort") for port in content.get("ports") or () if isinstance(port, dict)
    }

    def found(listens_on: int) -> list[Finding]:
        findings = []
        for key in _PROBES:
            asked = _port(content.get(key))
            port = named.get(asked, asked) if asked is not None else None
            if isinstance(port, int) and port != listens_on:
                message = f"asks port {port}, the server listens on {listens_on}: the pod never becomes ready"
                findings.append(Finding("error", "probe-port", key, message, f"Give port {listens_on}"))
        if content.get("livenessProbe") is not None and content.get("startupProbe") is None:
            findings += _impatient(content["livenessProbe"])
        return findings

    return found


def _port(probe: Any) -> Any:
    for kind in ("httpGet", "tcpSocket", "grpc"):
        if isinstance(probe, dict) and isinstance(probe.get(kind), dict):
            return probe[kind].get("port")
    return None


def _impatient(probe: Any) -> list[Finding]:
    """Return a finding where a pod is killed before a server of this size has loaded its weights."""
    if not isinstance(probe, dict):
        return []
    given = [probe.get(key, default) for key, default in _DEFAULTS.items()]
    if not all(isinstance(number, int) for number in given):
        return []
    delay, period, failures = given
    seconds = delay + period * failures
    if seconds >= _LOADING:
        return []
    message = f"kills the pod {seconds} s after its start, while weights of tens of gigabytes are still being loaded"
    return [Finding("warning", "probe-time", "livenessProbe", message, "Add a startupProbe that waits for minutes")]


_LOADING = 180
_DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}
