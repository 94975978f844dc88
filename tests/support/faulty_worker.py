"""The engine's worker, over an executor with a fault: `python faulty_worker.py FAULT FLAG ENGINE SOCKET`.

FAULT is `raises`, `hangs`, `ends-the-loop` or `writes-slowly`; it shows while the file FLAG exists.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from trtnemo.runtime.engine_loop import EngineLoop
from trtnemo.runtime.prefixes import write
from trtnemo.runtime.process import worker


def main() -> int:
    fault, flag = sys.argv[1], Path(sys.argv[2])
    module: Any = worker
    load = module.load_executor

    def load_faulty(*given: Any, **named: Any) -> Any:
        executor: Any = load(*given, **named)
        forward = executor.forward

        def faulty(batch: Any) -> Any:
            if flag.exists() and fault == "raises":
                raise RuntimeError("the device fell off the bus")
            while flag.exists() and fault == "hangs":
                time.sleep(0.05)
            return forward(batch)

        executor.forward = faulty
        return executor

    take = EngineLoop._take_commands

    def take_faulty(self: Any) -> None:
        take(self)
        if flag.exists() and fault == "ends-the-loop":
            raise MemoryError("no more")

    put = write._put

    def put_slowly(file: Any, pieces: Any, halt: Any) -> str:
        if flag.exists() and fault == "writes-slowly":
            time.sleep(0.3)
        return put(file, pieces, halt)

    module.load_executor = load_faulty
    write._put = put_slowly
    EngineLoop._take_commands = take_faulty  # type: ignore[method-assign]
    return worker.main(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
