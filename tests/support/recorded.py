"""What the commands said of every shipped recipe before the code was rearranged, and what they say now.

usage: python -m tests.support.recorded DIRECTORY: record today's answers
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.commands import trtnemo_here
from tests.support.paths import CARD, ROOT

RECORDED = ROOT / "tests" / "recorded"
# opencode.json is not among them: what was recorded of it got 404 from the servers that it is for
FORMS = ("command", "docker", "compose", "slurm", "evaluator")
# settings that take a recipe through branches that its file leaves out
VARIANTS: dict[str, list[list[str]]] = {
    "b200": [
        ["trtllm.version=1.4"],
        ["trtllm.version=1.4.0rc1"],
        ["speculation.draft_tokens=3"],
        ["parallel.tensor=2", "hardware.count=2"],
        ["limits.max_seq_len=1048576"],
    ],
    "vllm-b200": [
        ["vllm.version=0.20.0"],
        ["speculation.draft_tokens=5"],
        ["parallel.data=2", "hardware.count=2"],
    ],
    "sglang-b200": [
        ["sglang.version=0.5.10"],
        ["speculation.draft_tokens=2"],
        ["parallel.tensor=4", "hardware.count=4"],
    ],
}


def call(*arguments: str) -> tuple[int, str]:
    """Return exit code and standard output of one command, run in this process."""
    done = trtnemo_here(*arguments)
    return done.returncode, done.stdout


def answer(recipe: str, settings: list[str]) -> dict[str, Any]:
    """Return every rendering of a recipe, and its check and plan as JSON, with their exit codes."""
    words = [word for setting in settings for word in ("--set", setting)]
    entry: dict[str, Any] = {"recipe": recipe, "settings": settings, "render": {}}
    for form in FORMS:
        code, text = call("render", "--recipe", recipe, "--as", form, *words)
        entry["render"][form] = {"exit": code, "text": text}
    for command in ("check", "plan"):
        code, text = call(command, "--recipe", recipe, "--json", *words)
        entry[command] = {"exit": code, "json": json.loads(text) if text.strip() else None}
    return entry


def answer_to_card(name: str) -> dict[str, Any]:
    """Return the check of one of the model card's commands."""
    code, text = call("check", "--json", "--command", (CARD / name).read_text(encoding="utf-8"))
    return {"command": name, "check": {"exit": code, "json": json.loads(text)}}


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return (file name, answer) of every recipe, variant and command of the card."""
    for name in sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml")):
        for settings in ([], *VARIANTS.get(name, [])):
            yield "+".join([name, *settings]), answer(name, settings)
    for path in sorted(CARD.glob("*.txt")):
        yield f"card-{path.stem}", answer_to_card(path.name)


def without_sentences(value: Any) -> Any:
    """Return JSON data with texts of several words and absolute paths replaced by `...`: all else may not change."""
    if isinstance(value, dict):
        return {key: without_sentences(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_sentences(item) for item in value]
    if isinstance(value, str):
        return "..." if " " in value.strip() or value.startswith("/") else value
    return value


def grown(now: Any, recorded: Any) -> Any:
    """Return what is answered now without the top-level keys that an older answer had not: an answer may grow."""
    found = now.get("json") if isinstance(now, dict) else None
    if not isinstance(found, dict) or not isinstance(recorded["json"], dict):
        return now
    return {**now, "json": {key: value for key, value in found.items() if key in recorded["json"]}}


def only_keys(value: Any) -> Any:
    """Return the keys of JSON data, for what is measured anew at every call, such as this CPU's bandwidth."""
    if isinstance(value, dict):
        return {key: only_keys(item) for key, item in value.items()}
    return [only_keys(item) for item in value] if isinstance(value, list) else None


def main() -> None:
    """Record."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, entry in answers():
        text = json.dumps(entry, indent=1, ensure_ascii=False) + "\n"
        (directory / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
