"""Alert rules name metrics that exist, and fire on planted ones where Prometheus' own tool is here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from trtnemo.endpoint import summed_metrics
from trtnemo.gateway.metrics import GatewayMetrics
from trtnemo.gateway.upstream import Pool, Upstream
from trtnemo.launch.keep.told.metrics import STATES, SupervisionMetrics
from trtnemo.launch.servers.registry import all_servers

DASHBOARDS = Path(__file__).parents[3] / "dashboards"
RULES = yaml.safe_load((DASHBOARDS / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]


def told() -> set[str]:
    """Return the names that supervision and the gateway tell."""
    metrics = SupervisionMetrics()
    metrics.hear("lost", {"kind": "ended"})
    text = generate_latest(metrics.registry) + GatewayMetrics(Pool([Upstream("http://a")])).render()
    uniform = {f"trtnemo_upstream_{name}" for server in all_servers().values() for name in server.metrics}
    return set(summed_metrics(text.decode())) | uniform


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_every_metric_of_a_rule_exists(rule: dict[str, str]) -> None:
    named = re.findall(r"trtnemo_\w+", rule["expr"])
    assert named
    assert set(named) <= told()


def test_what_supervision_counts_is_told() -> None:
    metrics = SupervisionMetrics()
    for event, more in [("start", {}), ("serving", {}), ("lost", {"kind": "mute"}), ("restart", {}), ("drift", {})]:
        metrics.hear(event, dict(more))
    metrics.note("serving")
    text = generate_latest(metrics.registry).decode()
    assert all(f'trtnemo_supervised_state{{state="{name}"}} {float(name == "serving")}' in text for name in STATES)
    assert 'trtnemo_supervised_losses_total{kind="mute"} 1.0' in text
    sums = summed_metrics(text)
    assert sums["trtnemo_supervised_restarts_total"] == sums["trtnemo_supervised_drifts_total"] == 1
    assert sums["trtnemo_supervised_state"] == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, of Debian's package prometheus, is not here")
def test_alerts_fire_on_planted_metrics_and_on_nothing_else() -> None:
    done = subprocess.run(["promtool", "test", "rules", "alerts.test.yaml"], cwd=DASHBOARDS, capture_output=True)
    assert done.returncode == 0, done.stdout
