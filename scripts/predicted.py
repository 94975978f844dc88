"""Add the runs of a sweep to benchmarks/predicted.json: what the plan allowed beside what was measured, run by run.

usage: python scripts/predicted.py DIRECTORY...        (directories of runs of recipes, for only those have a bound)
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

from trtnemo.bench.load.record import RunRecord, find_runs
from trtnemo.bench.load.summary import summarize

FILE = Path(__file__).parent.parent / "benchmarks" / "predicted.json"


def row(run: RunRecord) -> dict[str, object] | None:
    """Return what is kept of a run, None without a bound."""
    if run.prediction is None:
        return None
    measured = summarize(run).metrics["output_tokens_per_second"]
    return {
        "date": datetime.fromtimestamp(run.started, timezone.utc).strftime("%Y-%m-%d"),
        "recipe": run.server.recipe,
        "settings": list(run.server.settings),
        "load": run.title or run.shape.title(),
        "machine": run.machine["processor"] + ", " + run.machine["cores"] + " cores",
        "bound_tokens_per_second": round(run.prediction.tokens_per_second, 1),
        "measured_tokens_per_second": round(measured, 1),
        "share": round(measured / run.prediction.tokens_per_second, 3),
        "bound_by": run.prediction.bound,
    }


def main() -> None:
    """Add and write."""
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    for directory in sys.argv[1:]:
        found = [row(RunRecord.load(path)) for path in find_runs(Path(directory))]
        known += [item for item in found if item is not None and item not in known]
    FILE.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for item in known:
        what = " ".join([item["recipe"], *item["settings"], item["load"]])
        print(f"{item['date']} {what}: {item['share']:.1%} of {item['bound_tokens_per_second']} tokens/s")


if __name__ == "__main__":
    main()
