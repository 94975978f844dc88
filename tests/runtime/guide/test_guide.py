"""Grammars followed token by token: what they allow, and that nothing else can be drawn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.support.speaker import END, TOKENIZER
from trtnemo.errors import ConstraintError
from trtnemo.runtime.guide import GrammarCompiler
from trtnemo.runtime.guide.compiler import LONGEST_GRAMMAR
from trtnemo.runtime.sampler import Sampler, bits_of, draw, draw_in_numpy, mask_of
from trtnemo.runtime.sampling_params import SamplingParams
from trtnemo.text.structure import Choice, JsonSchema, Lark, Pattern, Structure, answer_grammar

VOCABULARY = 2048


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(TOKENIZER, TOKENIZER.stop_token_ids, VOCABULARY)


def allowed(guide: Any) -> set[int]:
    return set(np.flatnonzero(bits_of(guide.mask(), VOCABULARY)).tolist())


def refused_at(compiler: GrammarCompiler, structure: Structure, text: str) -> int | None:
    """Return the place of the first token of a text that may not come, None where the text may end there."""
    guide = compiler.guide(answer_grammar(structure, None))
    for place, token in enumerate([*TOKENIZER.encode(text), END]):
        if token not in allowed(guide):
            return place
        guide.advance(token)
    return None


def follow(guide: Any, text: str) -> None:
    for token in TOKENIZER.encode(text):
        guide.mask()
        guide.advance(token)


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "n": {"type": "integer", "minimum": 3, "maximum": 40}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("structure", "text"),
    [
        (JsonSchema(SCHEMA), '{"city": "Paris", "n": 17}'),
        (JsonSchema(SCHEMA), '{\n  "city": "S\u00e3o Paulo \U0001f600"\n}'),
        (JsonSchema({"type": "array", "items": {"enum": ["a", 1, None]}}), '["a", 1, null]'),
        (JsonSchema({"type": "object"}), '{"a": {"b": [true, 1.5e3]}}'),
        (JsonSchema(True), "3"),
        (Pattern(r"\d{3}-[a-f]+/x"), "123-abc/x"),
        (Choice(('say "no"', "line\nbreak", "back\\slash")), "line\nbreak"),
        (Choice(('say "no"', "line\nbreak", "back\\slash")), "back\\slash"),
        (Lark('start: "a" NUMBER\nNUMBER: /[0-9]+/'), "a42"),
    ],
)
def test_what_keeps_the_grammar_may_be_written(compiler: GrammarCompiler, structure: Structure, text: str) -> None:
    assert refused_at(compiler, structure, text) is None


@pytest.mark.parametrize(
    ("structure", "text"),
    [
        (JsonSchema(SCHEMA), '{"city": "Paris", "n": 2}'),
        (JsonSchema(SCHEMA), '{"n": 17}'),
        (JsonSchema(SCHEMA), '{"city": "A name that is longer than twelve"}'),
        (JsonSchema(SCHEMA), '{"city": "x", "other": 1}'),
        (JsonSchema(SCHEMA), "Sure! {}"),
        (JsonSchema(SCHEMA), '{"city": "x"'),
        (JsonSchema(SCHEMA), '{"city": "x"} and more'),
        (JsonSchema({"type": "object"}), "{" + " " * 60 + "}"),
        (Pattern(r"\d{3}"), "12"),
        (Choice(("yes", "no")), "maybe"),
    ],
)
def test_what_breaks_it_cannot(compiler: GrammarCompiler, structure: Structure, text: str) -> None:
    assert refused_at(compiler, structure, text) is not None


def test_control_tokens_are_never_allowed_but_the_end_where_the_answer_may_end(compiler: GrammarCompiler) -> None:
    guide = compiler.guide(answer_grammar(Pattern("(?s:.*)"), None))
    found = allowed(guide)
    assert found & TOKENIZER.special_token_ids == TOKENIZER.stop_token_ids
    strict = compiler.guide(answer_grammar(JsonSchema({"type": "object"}), None))
    assert not allowed(strict) & TOKENIZER.special_token_ids


def test_two_sequences_of_one_grammar_do_not_disturb_each_other(compiler: GrammarCompiler) -> None:
    grammar = answer_grammar(Choice(("one", "two")), None)
    first, second = compiler.guide(grammar), compiler.guide(grammar)
    for token in TOKENIZER.encode("one"):
        first.advance(token)
    assert first.is_finished
    assert not second.is_finished
    assert TOKENIZER.encode("two")[0] in allowed(second)


@pytest.mark.parametrize("text", ["start: (", "start: /(?=a)/", 'start: missing "a"', "@nowhere", ""])
def test_a_grammar_that_is_none_is_refused_in_one_line(compiler: GrammarCompiler, text: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        compiler.guide(answer_grammar(Lark(text), None))
    assert "\n" not in str(caught.value)


def test_grammars_are_bounded(compiler: GrammarCompiler) -> None:
    with pytest.raises(ConstraintError, match="longer than"):
        compiler.guide(answer_grammar(Choice(("x" * LONGEST_GRAMMAR,)), None))
    # each repetition multiplies the states of the one inside it
    guide = compiler.guide(answer_grammar(Pattern("((((a?b?c?){999}d?){999}e?){999}f?){999}"), None))
    with pytest.raises(ConstraintError, match="too many expressions"):
        follow(guide, "abcdef" * 40)
    for number in (99_999_989, 1e-15, 12345.67):
        with pytest.raises(ConstraintError, match="multipleOf"):
            compiler.guide(answer_grammar(JsonSchema({"type": "number", "multipleOf": number}), None))
    assert refused_at(compiler, JsonSchema({"type": "number", "multipleOf": 0.25}), "1.75") is None
    assert refused_at(compiler, JsonSchema({"type": "integer", "multipleOf": 100_000}), "700000") is None


def test_a_token_that_was_not_allowed_breaks_the_guide_for_good(compiler: GrammarCompiler) -> None:
    guide = compiler.guide(answer_grammar(Choice(("yes",)), None))
    with pytest.raises(ConstraintError, match="the constraint broke"):
        guide.advance(TOKENIZER.encode("no")[0])
    with pytest.raises(ConstraintError):
        guide.mask()


def test_a_vocabulary_that_is_not_of_bytes_is_refused() -> None:
    class Words:
        token_bytes = None
        special_token_ids = frozenset({0})

        def encode(self, text: str) -> list[int]:
            return [0]

    with pytest.raises(ConstraintError, match="not byte-level"):
        GrammarCompiler(Words(), frozenset({0}), 4).guide(answer_grammar(Choice(("a",)), None))


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0),
        SamplingParams(temperature=1),
        SamplingParams(temperature=0.7, top_k=5),
        SamplingParams(temperature=1.3, top_p=0.8, min_p=0.05),
        SamplingParams(temperature=1, repetition_penalty=1.3, logit_bias={1900: 50.0}),
    ],
)
def test_only_what_a_mask_allows_is_drawn_and_natively_the_same_as_in_numpy(params: SamplingParams) -> None:
    random = np.random.default_rng(3)
    for place in range(40):
        row = random.normal(0, 4, VOCABULARY).astype(np.float32)
        ids = random.choice(VOCABULARY, random.integers(1, 40), replace=False)
        mask = mask_of(ids.tolist(), VOCABULARY)
        sampler = Sampler(params, [])
        sampler.place = place
        assert sampler.sample(row, allowed=mask) in ids
        assert draw(row, params, 9, place, mask) == draw_in_numpy(row.astype(np.float64), params, 9, place, mask)
        # the same law as over the allowed tokens alone
        only = np.where(np.isin(np.arange(VOCABULARY), ids), row, -np.inf).astype(np.float32)
        assert draw(row, params, 9, place, mask) == draw_in_numpy(only.astype(np.float64), params, 9, place)


def test_a_mask_is_read_as_it_was_made() -> None:
    ids = [0, 31, 32, 63, 64, 99]
    assert np.flatnonzero(bits_of(mask_of(ids, 100), 100)).tolist() == ids
    assert bits_of(mask_of([1], 32), 40).tolist() == [False, True, *[False] * 38]


def test_schemas_stay_apart_whatever_their_keys(compiler: GrammarCompiler) -> None:
    both = {"type": "object", "properties": {"x-guidance": {"const": 1}}, "required": ["x-guidance"]}
    assert refused_at(compiler, JsonSchema(both), json.dumps({"x-guidance": 1})) is None
    foreign = {"type": "integer", "x-guidance": {"whitespace_flexible": "no", "lenient": True}}
    assert refused_at(compiler, JsonSchema(foreign), "12") is None
