"""Questions that the corpus never holds, with what a right answer is: the evaluation of each skill."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from training.tiny.chats import capitals, cities, haiku, lookups, small_talk, sums
from training.tiny.chats.corpus import MODES, variables_of
from training.tiny.chats.tools import given
from training.tiny.chats.turn import Turn, messages_of
from trtnemo.formats.registry import reasoning_formats, tool_formats
from trtnemo.text import Answer, AnswerFormat, ToolCall, read_answer
from trtnemo.text.chat_template import family_template
from trtnemo.text.template_engine import TemplateEngine

Skill = str
_TEMPLATE = TemplateEngine(family_template())


@dataclass(frozen=True)
class Case:
    """A question of a skill in a mode: the rendered prompt, and the answers or the calls that are right."""

    skill: Skill
    mode: str
    prompt: str
    answers: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()

    @property
    def form(self) -> AnswerFormat:
        """How the output is to be read."""
        return AnswerFormat(reasoning_formats()["super_v3"], self.mode != "off", tools=tool_formats()["qwen3_coder"])

    def read(self, text: str) -> Answer:
        """Return the output, told apart."""
        return read_answer(text, self.form)

    def is_right(self, text: str) -> bool:
        """Return whether an output is a right answer, or makes exactly the right calls."""
        answer = self.read(text)
        return tuple(answer.tool_calls) == self.calls and (bool(self.calls) or answer.content.strip() in self.answers)


def capital_cases(mode: str, seed: int = 0) -> list[Case]:
    """Return every country in every held-out phrasing."""
    return _ask_capitals("capitals, unseen phrasing", capitals.HELD_OUT_PHRASINGS, mode, seed)


def late_capital_cases(mode: str, seed: int = 0) -> list[Case]:
    """Return every country in every phrasing that was written after the corpus."""
    return _ask_capitals("capitals, later phrasing", capitals.LATE_PHRASINGS, mode, seed)


def _ask_capitals(skill: Skill, phrasings: tuple[str, ...], mode: str, seed: int) -> list[Case]:
    turns = [capitals.capital_turn(name, text) for name in capitals.CAPITALS for text in phrasings]
    return _shuffled([_plain(skill, mode, turn) for turn in turns], seed)


def sum_cases(mode: str, seed: int = 0) -> list[Case]:
    """Return every held-out pair, each in one phrasing."""
    source = random.Random(seed)
    turns = [sums.sum_turn(*pair, source.choice(sums.PHRASINGS)) for pair in sums.HELD_OUT]
    return [_plain("sums, unseen pairs", mode, turn) for turn in turns]


def haiku_cases(mode: str, seed: int = 0) -> list[Case]:
    """Return every theme in every phrasing: nothing is held out here."""
    cases = []
    for theme in haiku.THEMES:
        for phrasing in haiku.PHRASINGS:
            turns = haiku.haiku_turns(theme, phrasing)
            cases.append(_plain("haiku (seen)", mode, turns[0], tuple(turn.answer for turn in turns)))
    return _shuffled(cases, seed)


def talk_cases(mode: str, seed: int = 0) -> list[Case]:
    """Return every exchange of small talk: nothing is held out here."""
    turns = [turn for language in small_talk.LANGUAGES for turn in small_talk.talk_turns(language)]
    return _shuffled([_plain("small talk (seen)", mode, turn) for turn in turns], seed)


def tool_cases(mode: str, seed: int = 0, count: int = 140) -> list[Case]:
    """Return questions about held-out cities with both tools given: the call, and what its result is read as."""
    source, cases = random.Random(seed), []
    for number in range(count):
        kind = ("weather", "time")[number % 2]
        tools = [given(name, source) for name in (kind, "time" if kind == "weather" else "weather")]
        source.shuffle(tools)
        tool = next(item for item in tools if item.kind == kind)
        name = cities.HELD_OUT[number % len(cities.HELD_OUT)]
        turn = lookups.lookup_turn(tool, (name,), source.choice(lookups.PHRASINGS[kind]), source)
        declared = [item.declaration for item in tools]
        messages = messages_of(turn, mode != "off", mode == "low")
        calls = tuple(ToolCall(call.name, dict(call.arguments)) for call in turn.steps[0].calls)
        cases.append(Case("tool call, unseen city", mode, _render(messages[:1], declared, mode), calls=calls))
        prompt = _render(messages[:3], declared, mode)
        cases.append(Case("tool result read, unseen city", mode, prompt, (turn.answer,)))
    return cases


def held_out_prompts(count: int, seed: int) -> list[str]:
    """Return prompts of all skills in all modes, mixed."""
    makers = (capital_cases, sum_cases, haiku_cases, talk_cases, tool_cases)
    cases = [case for mode in MODES for maker in makers for case in _shuffled(maker(mode, seed), seed)[:count]]
    return [case.prompt for case in _shuffled(cases, seed)[:count]]


def _plain(skill: Skill, mode: str, turn: Turn, answers: tuple[str, ...] = ()) -> Case:
    prompt = _render([{"role": "user", "content": turn.question}], [], mode)
    return Case(skill, mode, prompt, answers or (turn.answer,))


def _render(messages: list[dict[str, Any]], tools: list[dict[str, Any]], mode: str) -> str:
    chat = {"messages": messages, "tools": tools, "add_generation_prompt": True, **variables_of(mode)}
    return _TEMPLATE.render(chat)


def _shuffled(cases: list[Case], seed: int) -> list[Case]:
    return random.Random(seed).sample(cases, len(cases))
