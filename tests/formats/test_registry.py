"""A chat format is one file: it registers itself, and a recipe chooses it by name."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.copied import copy_package
from trtnemo.errors import RecipeError
from trtnemo.formats.format import FORMATS, register
from trtnemo.formats.registry import all_switches, all_tags, reasoning_formats, tool_formats
from trtnemo.recipe import load_recipe

# thinking between stars, calls as `CALL name`
STARS = """
from trtnemo.formats.format import Piece, ReasoningFormat, ToolCall, ToolFormat, register


class StarReader:
    def __init__(self, channel):
        self.channel = channel

    def push(self, text):
        for part in text.split("*"):
            if part:
                yield Piece(self.channel, part)
            self.channel = "content" if self.channel == "reasoning" else "reasoning"

    def finish(self):
        return iter(())


class Stars(ReasoningFormat):
    names = ("stars",)
    tags = ("*",)
    end_tag = "*"
    own_switches = frozenset({"twinkle"})

    def opens(self, prompt):
        return prompt.endswith("*")

    def reader(self, open_at_start, closers=()):
        return StarReader("reasoning" if open_at_start else "content")


class LineReader:
    def push(self, text):
        for line in text.splitlines():
            yield ToolCall(line.removeprefix("CALL "), {}) if line.startswith("CALL ") else line

    def finish(self):
        return iter(())


class Lines(ToolFormat):
    names = ("call_lines",)
    tags = ()
    opening = ("CALL ",)

    def reader(self, schemas):
        return LineReader()


register(Stars())
register(Lines())
"""
USE = """
from trtnemo.formats.registry import all_switches, reasoning_formats, tool_formats
from trtnemo.recipe import json_schema, load_recipe
from trtnemo.text import AnswerFormat, read_answer

recipe = load_recipe("tiny", ["parsers.reasoning=stars", "parsers.tool=call_lines"])
form = AnswerFormat(
    reasoning_formats()[recipe.parsers.reasoning], True, tools=tool_formats()[recipe.parsers.tool]
)
answer = read_answer("hm*CALL sing", form)
names = [call.name for call in answer.tool_calls]
print(answer.reasoning, names, "twinkle" in all_switches(), "stars" in str(json_schema()))
"""


def test_a_format_in_a_file_of_its_own_is_chosen_by_its_name(tmp_path: Path) -> None:
    package = copy_package(tmp_path)
    (package / "trtnemo" / "formats" / "stars.py").write_text(STARS)
    environment = {"PYTHONPATH": f"{package}:{sysconfig.get_path('purelib')}"}
    command = [sys.executable, "-S", "-c", USE]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=package)
    assert done.stdout.split("\n")[0] == "hm ['sing'] True True", done.stderr


@pytest.mark.parametrize(("key", "name"), [("reasoning", "super_v4"), ("tool", "qwen3_kodr"), ("tool", "")])
def test_a_name_that_no_format_has_is_refused_when_the_recipe_is_read(key: str, name: str) -> None:
    with pytest.raises(RecipeError, match="is not one of"):
        load_recipe("tiny", [f'parsers.{key}="{name}"'])


def test_the_names_that_other_servers_use_choose_the_same_format() -> None:
    formats = reasoning_formats()
    assert {formats[name] for name in ("super_v3", "nano-v3", "nemotron_v3", "nemotron_3")} == {formats["super_v3"]}
    assert tool_formats()["qwen3-coder"] is tool_formats()["qwen3_coder"]
    assert {"<think>", "</tool_call>"} <= all_tags()
    assert "force_nonempty_content" in all_switches()


def test_two_formats_of_one_name_are_refused() -> None:
    before = list(FORMATS)
    with pytest.raises(ValueError, match="super_v3"):
        register(reasoning_formats()["super_v3"])
    assert before == FORMATS
