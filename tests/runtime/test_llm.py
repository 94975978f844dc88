"""LLM and the engine loop: several requests at once, cancellation, failures that hurt nobody else."""

from __future__ import annotations

import queue
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import oracle
from tests.support.backends.executors import make_executor
from trtnemo import LLM, SamplingParams
from trtnemo.errors import EngineError, PromptTooLongError, RequestError
from trtnemo.runtime import client_over
from trtnemo.runtime.client import iterate
from trtnemo.runtime.messages import Failed, Finished, Started, TokenGenerated

GREEDY = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)
PROMPTS = [np.random.default_rng(seed).integers(20, 4096, 5 + 70 * seed).tolist() for seed in range(12)]


@pytest.fixture(scope="module")
def llm(make_engine: Any) -> Iterator[Any]:
    with LLM(make_engine("mixed", "limits.max_num_tokens=64", "limits.max_batch_size=4")) as opened:
        yield opened


def test_greedy_tokens_equal_transformers(llm: Any, make_checkpoint: Any) -> None:
    """transformers runs the whole sequence anew for every token: no cache, no chunks, no batch."""
    model = oracle.load_model(make_checkpoint("mixed"))
    outputs = llm.generate(PROMPTS[:3], GREEDY)
    for prompt, output in zip(PROMPTS[:3], outputs, strict=True):
        logits = oracle.logits(model, torch.tensor(prompt + output.token_ids))[len(prompt) - 1 : -1]
        best = logits.topk(2).values
        certain = (best[:, 0] - best[:, 1]) > 1e-4
        assert certain.sum() > 8
        assert (logits.argmax(-1) == torch.tensor(output.token_ids))[certain].all()


def test_more_requests_than_slots_give_what_each_gives_alone(llm: Any) -> None:
    together = llm.generate(PROMPTS, GREEDY)
    alone = [llm.generate([prompt], GREEDY)[0] for prompt in PROMPTS]
    assert [output.token_ids for output in together] == [output.token_ids for output in alone]
    assert {output.finish_reason for output in together} == {"length"}


def test_prompt_logprobs_equal_transformers(llm: Any, make_checkpoint: Any) -> None:
    model = oracle.load_model(make_checkpoint("mixed"))
    prompt = PROMPTS[2]
    output = llm.generate([prompt], SamplingParams(max_tokens=0, prompt_logprobs=1))[0]
    expected = oracle.logits(model, torch.tensor(prompt)).log_softmax(-1)
    assert output.prompt_logprobs[0] is None
    assert output.token_ids == []
    for place, score in enumerate(output.prompt_logprobs[1:], start=1):
        assert score.logprob == pytest.approx(expected[place - 1, prompt[place]].item(), abs=1e-3)
        assert score.top[0][1] == pytest.approx(expected[place - 1].max().item(), abs=1e-3)


def test_a_stop_string_ends_the_text_before_it(llm: Any) -> None:
    whole = llm.generate(["def main"], GREEDY)[0].text
    stop = whole[5:8]
    output = llm.generate(["def main"], GREEDY.model_copy(update={"stop": (stop,)}))[0]
    assert output.finish_reason == "stop"
    assert output.text == whole[: whole.index(stop)]


def test_a_stop_token_ends_the_answer_unless_it_comes_too_early(llm: Any) -> None:
    ids = llm.generate([PROMPTS[0]], GREEDY)[0].token_ids
    stop = GREEDY.model_copy(update={"stop_token_ids": (ids[3],)})
    assert llm.generate([PROMPTS[0]], stop)[0].token_ids == ids[: ids.index(ids[3]) + 1]
    late = stop.model_copy(update={"min_tokens": 6})
    assert len(llm.generate([PROMPTS[0]], late)[0].token_ids) >= 6


@pytest.mark.parametrize(
    ("prompt", "params", "message"),
    [
        ([], GREEDY, "empty"),
        ([4096], GREEDY, "outside the vocabulary"),
        ([-1], GREEDY, "outside the vocabulary"),
        ([1], SamplingParams(max_tokens=1, logit_bias={5000: 1.0}), "outside the vocabulary"),
    ],
)
def test_a_bad_prompt_is_refused_before_anything_runs(llm: Any, prompt: list[Any], params: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        llm.generate([PROMPTS[0], prompt], params)


def test_a_prompt_that_does_not_fit_is_refused(make_engine: Any) -> None:
    with LLM(make_engine("bf16", "limits.max_seq_len=20")) as small:
        with pytest.raises(PromptTooLongError, match="20"):
            small.generate([[5] * 20])
        with pytest.raises(PromptTooLongError, match="max_tokens"):
            small.generate([[5] * 15], SamplingParams(max_tokens=6))
        output = small.generate([[5] * 15], SamplingParams(ignore_eos=True, temperature=0))[0]
        assert len(output.token_ids) == 5


class Faulty:
    """An executor that breaks on one token id and otherwise does what the real one does."""

    def __init__(self, executor: Any, bad: Any) -> None:
        self._executor, self._bad = executor, bad

    def __getattr__(self, name: Any) -> Any:
        return getattr(self._executor, name)

    def forward(self, batch: Any) -> Any:
        if self._bad in batch.token_ids:
            raise RuntimeError("broken step")
        return self._executor.forward(batch)


def test_a_broken_step_fails_its_sequence_and_the_loop_lives_on(make_checkpoint: Any) -> None:
    executor = make_executor(make_checkpoint("bf16"), slots=2)
    client = client_over(Faulty(executor, 77), frozenset())
    with pytest.raises(EngineError, match="broken step"):
        list(iterate(client, client.check([5, 77], GREEDY)))
    assert len([e for e in iterate(client, client.check([5, 6], GREEDY)) if isinstance(e, TokenGenerated)]) == 12
    client.close()
    assert not executor.slots


def test_an_aborted_request_frees_its_slot_and_says_no_more(make_checkpoint: Any) -> None:
    executor = make_executor(make_checkpoint("bf16"), slots=1)
    client = client_over(executor, frozenset())
    events: queue.SimpleQueue[object] = queue.SimpleQueue()
    first = client.submit(client.check([5, 6], SamplingParams(max_tokens=4000, ignore_eos=True)), events.put)
    assert isinstance(events.get(timeout=30), Started)
    assert isinstance(events.get(timeout=30), TokenGenerated)
    client.abort(first)
    assert isinstance(list(iterate(client, client.check([7], GREEDY)))[-1], Finished)
    client.close()
    assert not executor.slots
    assert not any(isinstance(events.get(), (Finished, Failed)) for _ in range(events.qsize()))


def test_leaving_an_iteration_early_aborts_the_request(make_checkpoint: Any) -> None:
    executor = make_executor(make_checkpoint("bf16"), slots=1)
    client = client_over(executor, frozenset())
    for _ in iterate(client, client.check([5], SamplingParams(max_tokens=4000, ignore_eos=True))):
        break
    assert len(list(iterate(client, client.check([7], GREEDY)))) == 13
    client.close()


def test_draining_finishes_what_runs_and_refuses_what_comes(make_checkpoint: Any) -> None:
    client = client_over(make_executor(make_checkpoint("bf16")), frozenset())
    events: queue.SimpleQueue[object] = queue.SimpleQueue()
    client.submit(client.check([5, 6], SamplingParams(max_tokens=30, ignore_eos=True)), events.put)
    client.close(drain=True)
    received = [events.get() for _ in range(events.qsize())]
    assert len(received) == 32
    assert received[-1] == Finished("1", "length")


def test_the_embedded_model_knows_capitals_thinking_on_and_off(tiny_engine: Any) -> None:
    from tests.support.formats import split_reasoning
    from trtnemo.engine import Engine
    from trtnemo.text import ChatTemplate

    with LLM(tiny_engine) as llm:
        template = ChatTemplate(Engine.open(tiny_engine).tokenizer_directory, llm.tokenizer)
        for thinking in (True, False):
            for country, capital in {"Japan": "Tokyo", "France": "Paris", "Kenya": "Nairobi"}.items():
                messages = [{"role": "user", "content": f"What is the capital of {country}?"}]
                prompt = template.render(messages, {"enable_thinking": thinking})
                output = llm.generate(prompt, SamplingParams(temperature=0, max_tokens=80))[0]
                reasoning, answer = split_reasoning(output.text, thinking)
                assert answer == f"The capital of {country} is {capital}."
                assert bool(reasoning) == thinking
                assert output.finish_reason == "stop"


def test_without_a_with_block_nothing_is_said_at_the_interpreters_end(tiny_engine: Any) -> None:
    code = (
        "import sys\nfrom trtnemo import LLM, SamplingParams\nllm = LLM(sys.argv[1])\n"
        "print(llm.generate(['a'], SamplingParams(max_tokens=2))[0].finish_reason)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny_engine)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "length", "")
