"""Write the Grafana dashboard of our server's metrics.

usage: python -m scripts.dashboard

Writes dashboards/trtnemo.json from the table below: a row has panels, a panel has queries. `{}` stands for the labels
that the dashboard's own choice sets. tests/server/test_dashboard.py holds each name against a server's metrics.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "dashboards" / "trtnemo.json"
WIDTH, HEIGHT = 8, 7  # of a panel; Grafana's page has 24 columns
CACHED = "trtnemo_cached_tokens_total"
LABELS = '{instance=~"$instance"}'


def rate(name: str, by: str = "") -> str:
    """Return the query for how fast a counter grows, for each value of a label or in all."""
    return f"sum{f' by ({by})' if by else ''} (rate({name}{{}}[$__rate_interval]))"


def share(part: str, *whole: str) -> str:
    """Return the query for the share of one counter in the sum of others."""
    return f"{rate(part)} / ({' + '.join(map(rate, whole))})"


def percentiles(name: str) -> list[tuple[str, str]]:
    """Return queries for the times of a histogram that people quote."""
    grown = f"sum by (le) (rate({name}_bucket{{}}[$__rate_interval]))"
    return [(f"histogram_quantile({number}, {grown})", f"p{round(100 * number)}") for number in (0.5, 0.9, 0.99)]


def mean(name: str) -> str:
    """Return the query for the mean of a histogram."""
    return f"{rate(f'{name}_sum')} / {rate(f'{name}_count')}"


# row -> panels: title, unit, queries with their names
ROWS: dict[str, list[tuple[str, str, list[tuple[str, str]]]]] = {
    "Load": [
        ("Requests", "reqps", [(rate("trtnemo_requests_total", "status"), "{{status}}")]),
        ("Sequences", "short", [
            ("sum(trtnemo_running_requests{})", "running"), ("sum(trtnemo_waiting_requests{})", "waiting"),
            ("sum(trtnemo_slots{})", "slots"),
        ]),
        ("Ends of answers", "reqps", [(rate("trtnemo_finished_total", "finish_reason"), "{{finish_reason}}")]),
    ],
    "Times": [
        ("Time to first token", "s", percentiles("trtnemo_time_to_first_token_seconds")),
        ("Time per output token", "s", percentiles("trtnemo_time_per_output_token_seconds")),
        ("Between two tokens", "s", percentiles("trtnemo_inter_token_seconds")),
        ("Whole request", "s", percentiles("trtnemo_request_seconds")),
        ("Waiting for a slot", "s", percentiles("trtnemo_queue_seconds")),
        ("Where the time goes, mean", "s", [
            (mean(f"trtnemo_{part}_seconds"), part) for part in ("queue", "prefill", "decode")
        ]),
    ],
    "Tokens": [
        ("Tokens a second", "short", [
            (rate("trtnemo_generated_tokens_total"), "generated"), (rate("trtnemo_prompt_tokens_total"), "prompt, run"),
            (rate(CACHED), "prompt, from the cache"),
        ]),
        ("Mean lengths", "short", [
            (mean("trtnemo_prompt_length_tokens"), "prompt"), (mean("trtnemo_answer_length_tokens"), "answer"),
        ]),
        ("Executor steps a second", "short", [(rate("trtnemo_steps_total"), "steps")]),
    ],
    "Drafts": [
        ("Drafts accepted", "percentunit", [
            (share("trtnemo_accepted_tokens_total", "trtnemo_drafted_tokens_total"), "")
        ]),
        ("Accepted by place", "percentunit", [(
            f"{rate('trtnemo_accepted_at_total', 'place')} / {rate('trtnemo_drafted_at_total', 'place')}",
            "draft {{place}}",
        )]),
        ("Tokens per verification", "short", [
            (f"1 + {share('trtnemo_accepted_tokens_total', 'trtnemo_verifications_total')}", "")
        ]),
    ],
    "Memory": [
        ("Prompt tokens from the cache", "percentunit", [
            (share(CACHED, CACHED, "trtnemo_prompt_tokens_total"), "tokens"),
            (share("trtnemo_prefix_hits_total", "trtnemo_prefix_queries_total"), "prompts"),
            (share("trtnemo_prefix_disk_hits_total", "trtnemo_prefix_queries_total"), "prompts, from disk"),
        ]),
        ("KV pages", "short", [("sum(trtnemo_kv_pages_used{})", "used"), ("sum(trtnemo_kv_pages{})", "there")]),
        ("Kept prefixes", "bytes", [("sum(trtnemo_prefix_bytes{})", "bytes")]),
        ("Kept prefixes, number", "short", [("sum(trtnemo_prefix_entries{})", "entries")]),
        ("Preemptions a second", "short", [(rate("trtnemo_preemptions_total"), "preemptions")]),
        ("Memory of the server", "bytes", [("process_resident_memory_bytes{}", "{{instance}}")]),
    ],
    "Health": [
        ("Engine up", "short", [("trtnemo_engine_up{}", "{{instance}}")]),
        ("Engine restarts in an hour", "short", [("increase(trtnemo_engine_restarts_total{}[1h])", "{{instance}}")]),
        ("Streams that ended with an error", "short", [(rate("trtnemo_stream_failures_total"), "streams/s")]),
    ],
}  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana takes it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": top, "w": 24, "h": 1}
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []})
        panels += [_panel(*panel, number, top + 1) for number, panel in enumerate(row)]
        top += 1 + HEIGHT * -(-len(row) * WIDTH // 24)
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    return {
        "title": "trtnemo", "uid": "trtnemo", "tags": ["trtnemo"], "schemaVersion": 39, "editable": True,
        "refresh": "10s", "time": {"from": "now-30m", "to": "now"}, "panels": panels,
        "templating": {"list": [
            {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
            _choice("model", "Model", "label_values(target_info{recipe!=\"\"}, model)"),
            _choice("instance", "Server", "label_values(target_info{recipe!=\"\", model=~\"$model\"}, instance)"),
        ]},
    }  # fmt: skip


def _panel(title: str, unit: str, queries: list[tuple[str, str]], number: int, top: int) -> dict[str, Any]:
    across, down = number * WIDTH % 24, top + number * WIDTH // 24 * HEIGHT
    source = {"type": "prometheus", "uid": "${source}"}
    targets = [
        # what stands in double braces is Grafana's own
        {"refId": "ABC"[place], "expr": expr.replace("{}", LABELS), "legendFormat": name or title, "datasource": source}
        for place, (expr, name) in enumerate(queries)
    ]
    defaults = {"unit": unit, "min": 0, "custom": {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}}
    return {
        "type": "timeseries", "title": title, "datasource": source, "targets": targets,
        "gridPos": {"x": across, "y": down, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"tooltip": {"mode": "multi"}, "legend": {"displayMode": "list", "placement": "bottom"}},
    }  # fmt: skip


def _choice(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name, "label": label, "type": "query", "query": query, "definition": query, "refresh": 2, "sort": 1,
        "datasource": {"type": "prometheus", "uid": "${source}"}, "multi": True, "includeAll": True, "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def rendered() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered(), encoding="utf-8")
