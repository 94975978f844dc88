"""Constrained sequences in a real engine: the same tokens with drafts, prefix reuse and preemption, each on and off."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.support.backends.executors import make_native
from trtnemo import SamplingParams
from trtnemo.errors import EngineError
from trtnemo.runtime import LoopOptions, client_over
from trtnemo.runtime.client import iterate
from trtnemo.runtime.guide import GrammarCompiler
from trtnemo.runtime.messages import Compiled, Finished, TokenGenerated
from trtnemo.text import TextTokenizer
from trtnemo.text.structure import JsonSchema, Lark, answer_grammar

SCHEMA = {
    "type": "array",
    "minItems": 3,
    "maxItems": 6,
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 8}, "kind": {"enum": ["a", "b", None]}},
        "required": ["name", "kind"],
        "additionalProperties": False,
    },
}
GRAMMAR = answer_grammar(JsonSchema(SCHEMA), None)
# a turn ends in each, after which its state is kept
PROMPTS = [[2 if place == 131 else (seed * 37 + place * 11) % 3000 + 300 for place in range(140)] for seed in range(4)]


@pytest.fixture(scope="module")
def tokenizer(make_checkpoint: Any) -> TextTokenizer:
    return TextTokenizer(make_checkpoint("mixed"), 2)


@pytest.fixture
def open_client(make_checkpoint: Any, tokenizer: TextTokenizer) -> Iterator[Any]:
    clients = []

    def make(options: Any = None, **executor: Any) -> Any:
        compiler = GrammarCompiler(tokenizer, tokenizer.stop_token_ids, 4096)
        built = make_native(make_checkpoint("mixed"), **executor)
        clients.append(client_over(built, tokenizer.stop_token_ids, options, compiler))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def say(client: Any, tokens: list[int], params: SamplingParams, grammar: str | None = GRAMMAR) -> list[int]:
    return [e.token_id for e in iterate(client, client.check(tokens, params, grammar)) if isinstance(e, TokenGenerated)]


def say_all(client: Any, params: SamplingParams) -> list[list[int]]:
    """Return what all prompts say, run at once and then once more, when their prefixes are kept."""
    said: list[Any] = [None] * len(PROMPTS)

    def run(number: int) -> None:
        said[number] = say(client, PROMPTS[number], params)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(PROMPTS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said + [say(client, tokens, params) for tokens in PROMPTS]


SMALL = [(1.0, 0, 0, None), (1.0, 3, 100 << 20, None), (0.0, 3, 100 << 20, 400)]
GRID = itertools.product([0.0, 1.0], [0, 3], [0, 100 << 20], [None, 400])
LARGE = [pytest.param(*item, marks=pytest.mark.slow) for item in GRID if item not in SMALL]


@pytest.mark.parametrize(("temperature", "drafts", "prefix_bytes", "kv_tokens"), [*SMALL, *LARGE])
def test_a_constrained_answer_is_the_same_however_it_is_run(
    open_client: Any,
    tokenizer: TextTokenizer,
    temperature: float,
    drafts: int,
    prefix_bytes: int,
    kv_tokens: int | None,
) -> None:
    params = SamplingParams(temperature=temperature, seed=11, max_tokens=200)
    more = {"kv_tokens": kv_tokens or 6400}
    client = open_client(LoopOptions(drafts, prefix_bytes=prefix_bytes), slots=4, max_seq_len=400, **more)
    said = say_all(client, params)
    alone = open_client(LoopOptions(), slots=1, max_seq_len=400)
    assert said == [say(alone, tokens, params) for tokens in PROMPTS] * 2
    whole = 0
    for tokens in said:
        text = tokenizer.decode([token for token in tokens if token not in tokenizer.stop_token_ids])
        if len(tokens) < params.max_tokens:  # type: ignore[operator]
            jsonschema.validate(json.loads(text), SCHEMA)
            whole += 1
    assert whole or not temperature  # greedy, a random model repeats itself until it is stopped
    assert bool(client.statistics.drafted_tokens) is bool(drafts)
    assert bool(client.statistics.preemptions) is (kv_tokens is not None)
    if kv_tokens is None:  # where sequences press, what is kept for others goes first
        assert bool(client.statistics.cached_tokens) is bool(prefix_bytes)


def test_an_answer_ends_where_its_grammar_does_though_no_end_is_drawn(open_client: Any) -> None:
    params = SamplingParams(temperature=0, max_tokens=50, ignore_eos=True, min_tokens=50)
    client = open_client()
    grammar = answer_grammar(Lark('start: "yes" | "no"'), None)
    events = list(iterate(client, client.check(PROMPTS[0], params, grammar)))
    assert events[-1] == Finished(events[-1].request_id, "stop")
    assert len(events) <= 5


def test_a_grammar_is_compiled_before_it_is_used_and_refused_where_it_cannot_be(open_client: Any) -> None:
    client = open_client()
    heard: list[Any] = []
    told = threading.Semaphore(0)

    def hear(event: Any) -> None:
        heard.append(event)
        told.release()

    for grammar in (GRAMMAR, answer_grammar(Lark("start: ("), None)):
        client.compile(grammar, hear)
        assert told.acquire(timeout=30)
    assert [type(event) for event in heard] == [Compiled, Compiled]
    assert heard[0].error is None
    assert "cannot be kept" in heard[1].error
    with pytest.raises(EngineError, match="cannot be kept"):
        say(client, PROMPTS[0], SamplingParams(), answer_grammar(Lark("start: ("), None))


def test_an_engine_without_a_vocabulary_says_that_it_cannot_constrain(make_checkpoint: Any) -> None:
    client = client_over(make_native(make_checkpoint("mixed")), frozenset({2}))
    with pytest.raises(EngineError, match="cannot constrain answers"):
        say(client, PROMPTS[0], SamplingParams())
    client.close()


def test_forbidden_allowed_and_constrained_tokens_go_together(open_client: Any, tokenizer: TextTokenizer) -> None:
    client = open_client()
    grammar = answer_grammar(Lark('start: ("yes" | "no") /[a-z]{0,20}/'), None)
    yes, no = tokenizer.encode("yes")[0], tokenizer.encode("no")[0]
    base = {"temperature": 0.0, "max_tokens": 1}
    assert say(client, PROMPTS[0], SamplingParams(**base, allowed_token_ids=(no, 300)), grammar) == [no]
    assert say(client, PROMPTS[0], SamplingParams(**base, allowed_token_ids=(yes, 300)), grammar) == [yes]
    with pytest.raises(EngineError, match="leave no token"):
        say(client, PROMPTS[0], SamplingParams(**base, allowed_token_ids=(300,)), grammar)
    plain = say(client, PROMPTS[0], SamplingParams(temperature=0, max_tokens=3), None)
    bad = SamplingParams(temperature=0, max_tokens=3, bad_words=(tuple(plain[:2]),))
    found = say(client, PROMPTS[0], bad, None)
    assert found[0] == plain[0]
    assert found[1] != plain[1]
