"""A thread that compiles grammars, so that no step waits for one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from trtnemo.errors import ConstraintError
from trtnemo.runtime.guide.compiler import GrammarCompiler
from trtnemo.runtime.guide.guide import Guide
from trtnemo.runtime.messages import Compile, Compiled

_UNABLE = "this engine cannot constrain answers"


class CompilingThread:
    """Takes `Compile` commands and hands each one's `Compiled` to `done`; its thread starts with the first."""

    def __init__(self, compiler: GrammarCompiler | None, done: Callable[[Compiled], None]) -> None:
        self._compiler = compiler
        self._done = done
        self._waiting: queue.SimpleQueue[Compile | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, command: Compile) -> None:
        """Compile a grammar soon."""
        self._waiting.put(command)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trtnemo-grammars", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; what waits is dropped."""
        self._waiting.put(None)

    def guide(self, grammar: str) -> Guide:
        """Return a guide for a grammar that was compiled before; raises ConstraintError."""
        if self._compiler is None:
            raise ConstraintError(_UNABLE)
        return self._compiler.guide(grammar)

    def _run(self) -> None:
        while (command := self._waiting.get()) is not None:
            self._done(Compiled(command.request_id, self._error(command.grammar)))

    def _error(self, grammar: str) -> str | None:
        try:
            self.guide(grammar)
        except ConstraintError as error:
            return str(error)
        except Exception as error:  # a defect of the library must not leave a request without an answer
            return f"the constraint cannot be compiled: {error}"
        return None
