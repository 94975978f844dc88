"""trtnemo with a pause before every step of its engine: what a gate must find.

usage: slow_server.py SECONDS serve ...        (everything after SECONDS is trtnemo's own command line)
"""

from __future__ import annotations

import sys
import time

from trtnemo.cli import main
from trtnemo.runtime.engine_loop import EngineLoop
from trtnemo.runtime.process import EngineProcess, worker
from trtnemo.runtime.scheduling.scheduler import ScheduledStep

WORKER = "--worker"  # this script is the engine's process too
SECONDS = float(sys.argv.pop(1))
run_step = EngineLoop._run_step


def run_slowly(self: EngineLoop, step: ScheduledStep) -> None:
    """Pause, then run the step."""
    time.sleep(SECONDS)
    run_step(self, step)


if sys.argv[1] == WORKER:
    EngineLoop._run_step = run_slowly  # type: ignore[method-assign]
    sys.exit(worker.main(sys.argv[2:]))
EngineProcess.__init__.__kwdefaults__["program"] = (sys.executable, __file__, str(SECONDS), WORKER)
sys.exit(main())
