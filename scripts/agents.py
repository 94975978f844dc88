"""A coding agent finishes an edit through our server, whose model is a script that knows what to call.

The agent's program, its protocol, our server, its templates and readers are the real ones; what a model of this size
cannot do, choose the right call among an agent's tools, a table does: the executor says what `PLAY` has for the tools
that stand in the prompt, and ends the turn when it has seen their result. Exits 1 where the file was not edited.

usage: python -m scripts.agents codex|claude|opencode [--program PATH] [--show]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from tests.support.speaker import END, TOKENIZER, Speaker, context_over
from trtnemo.backends import StepBatch, StepResult
from trtnemo.front.listen import bind
from trtnemo.server.app import create_app

LONGEST = 200_000
TASK = "Write the line 'Tokyo' into the file answer.txt."
# by the name of a tool: the arguments that write the file
PLAY: dict[str, dict[str, str]] = {
    "exec_command": {"cmd": "printf 'Tokyo\\n' > answer.txt"},
    "shell_command": {"command": "printf 'Tokyo\\n' > answer.txt"},
    "shell": {"command": '["bash", "-lc", "printf \'Tokyo\\\\n\' > answer.txt"]'},
    "Write": {"file_path": "{here}/answer.txt", "content": "Tokyo\n"},
    "write": {"filePath": "{here}/answer.txt", "content": "Tokyo\n"},
}
COMMANDS = {
    "codex": ["codex", "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", TASK],
    "claude": ["claude", "-p", "--permission-mode", "acceptEdits", TASK],
    "opencode": ["opencode", "run", TASK],
}
FORMS = {"codex": ("codex", "config.toml"), "claude": ("claude-code", ".claude/settings.json")}
FORMS["opencode"] = ("opencode", "opencode.json")


class Actor(Speaker):
    """Says what the play has for the prompt of each slot."""

    def __init__(self, here: Path) -> None:
        super().__init__("", max_seq_len=LONGEST)
        self._here = here
        self._tokens: dict[int, list[int]] = {}
        self._lines: dict[int, tuple[int, list[int]]] = {}
        self.prompts: list[str] = []

    def forward(self, batch: StepBatch) -> StepResult:
        """Return logits that leave no choice."""
        batch.validate()
        logits = np.full((len(batch.logit_rows), self.budget.vocab_size), -50, np.float32)
        for segment in batch.segments:
            known = self._tokens.setdefault(segment.slot, [])
            known[segment.position :] = batch.token_ids[segment.rows].tolist()
            self.lengths[segment.slot] = len(known)
            for number, row in enumerate(batch.logit_rows):
                if row in range(*segment.rows.indices(1 << 30)):
                    logits[number, self._next(segment.slot)] = 50
        return StepResult(logits, np.empty((0, 1), np.float32))

    def _next(self, slot: int) -> int:
        known = self._tokens[slot]
        if slot not in self._lines:
            self.prompts.append(TOKENIZER.decode(known, False))
            self._lines[slot] = (len(known), [*TOKENIZER.encode(self._line(self.prompts[-1])), END])
        begun, line = self._lines[slot]
        return line[min(len(known) - begun, len(line) - 1)]

    def _line(self, prompt: str) -> str:
        last = prompt.rpartition("<|im_start|>user")[2]
        tool = next((name for name in PLAY if f"<name>{name}</name>" in prompt), None)
        thought = "" if prompt.rstrip().endswith("</think>") else "I know what to do.\n</think>\n"
        if tool is None or "<tool_response>" in last or "Tokyo" not in prompt:
            return f"{thought}The file is written."
        written = "".join(
            f"<parameter={name}>\n{value.replace('{here}', str(self._here))}\n</parameter>\n"
            for name, value in PLAY[tool].items()
        )
        return f"{thought}<tool_call>\n<function={tool}>\n{written}</function>\n</tool_call>"

    def release(self, slot: int) -> None:
        """Begin anew in this slot."""
        self._tokens.pop(slot, None)
        self._lines.pop(slot, None)


def serve(app: Any) -> int:
    """Serve an application on a thread that ends with this process, and return its port."""
    listener = bind("127.0.0.1", 0)
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    return int(listener.getsockname()[1])


def main() -> int:
    """Run one agent; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agent", choices=COMMANDS)
    parser.add_argument("--program", help="where the program is, when it is not on the PATH")
    parser.add_argument("--show", action="store_true", help="print the prompts")
    given = parser.parse_args()
    form, place = FORMS[given.agent]
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory, "work")
        here.mkdir()
        actor = Actor(here)
        with context_over(actor, model_names=("tiny",)) as context:
            port = serve(create_app(context))
            render = [sys.executable, "-m", "trtnemo", "render", "--recipe", "tiny", "--as", form]
            settings = [f"server.port={port}", f"limits.max_seq_len={LONGEST}"]
            (here / place).parent.mkdir(exist_ok=True)
            chosen = [word for setting in settings for word in ("--set", setting)]
            subprocess.run([*render, *chosen, "--output", str(here / place)], check=True)
            environment = {
                **os.environ,
                "CODEX_HOME": str(here),
                "OPENAI_API_KEY": "EMPTY",
                "HOME": directory,
                "PWD": str(here),
            }
            program, *words = COMMANDS[given.agent]
            command = [given.program or program, *words]
            found = subprocess.run(command, cwd=here, env=environment, stdin=subprocess.DEVNULL, timeout=300)
        for prompt in actor.prompts if given.show else ():
            print(f"--- prompt\n{prompt}")
        path = here / "answer.txt"
        text = path.read_text(encoding="utf-8") if path.is_file() else None
    print(f"{given.agent}: exit {found.returncode}, {len(actor.prompts)} answers, answer.txt {text!r}")
    return 0 if text == "Tokyo\n" and not found.returncode else 1


if __name__ == "__main__":
    sys.exit(main())
