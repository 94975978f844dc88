"""The open training: seeded, resumable, learning; the network it trains is the one that is served."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file

from tests.support import oracle
from tests.support.backends.executors import make_executor
from training.tiny import batches as batches_module
from training.tiny.architecture import CONFIG
from training.tiny.batches import STAGES, batches
from training.tiny.chats import cities
from training.tiny.chats.corpus import Mix, generate
from training.tiny.chats.sums import HELD_OUT
from training.tiny.held_out import capital_cases, haiku_cases, late_capital_cases, sum_cases, tool_cases
from training.tiny.initial import initial_weights, spread_final_norm, to_hub
from training.tiny.model import TinyModel
from training.tiny.tokenizer import render, train_tokenizer
from training.tiny.train import STATE, Trainer, main
from trtnemo.backends import DraftToken, make_batch
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.hub.source import EMBEDDED
from trtnemo.text.chat_template import family_template


def test_the_corpus_is_the_same_for_one_seed_and_another_for_another() -> None:
    first, again, other = (list(itertools.islice(generate(seed), 50)) for seed in (1, 1, 2))
    assert first == again != other
    assert any("Tokyo" in render(sample) for sample in itertools.islice(generate(0), 500))


def test_the_corpus_never_holds_what_the_evaluation_asks() -> None:
    texts = "\n".join(render(sample) for _, mix in STAGES for sample in itertools.islice(generate(1, mix), 2000))
    assert not [city for city in cities.HELD_OUT if city in texts]
    questions = {
        case.prompt.partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
        for maker in (capital_cases, late_capital_cases, sum_cases, tool_cases)
        for case in maker("off")
    }
    assert len(questions) > 1000
    assert not [question for question in questions if f"user\n{question}<|im_end|>" in texts]
    held_out = {tuple(map(str, pair)) for pair in HELD_OUT}
    assert held_out.isdisjoint(re.findall(r"[>\n](\d+) \+ (\d+) = \d+\.<", texts))


def test_a_right_answer_counts_and_a_wrong_one_does_not() -> None:
    for case in (capital_cases("on")[0], capital_cases("off")[0], haiku_cases("low")[0]):
        closed = "" if case.mode == "off" else "hm\n</think>\n"
        assert case.is_right(closed + case.answers[0])
        assert not case.is_right(closed + case.answers[0] + " Or not.")
        assert not case.is_right("")
    call, reading = tool_cases("on")[:2]
    name, arguments = call.calls[0].name, call.calls[0].arguments
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    text = f"hm\n</think>\n<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>\n"
    assert call.is_right(text)
    assert not call.is_right(text + text)
    assert not call.is_right(text.replace(">\n" + next(iter(arguments.values())), ">\nNowhere"))
    assert not reading.is_right(text)


def test_the_embedded_checkpoint_carries_the_familys_template_and_the_trained_tokenizer() -> None:
    assert (EMBEDDED / "chat_template.jinja").read_text() == family_template()
    assert (
        json.loads((EMBEDDED / "tokenizer.json").read_text())["model"]
        == json.loads(train_tokenizer().to_str())["model"]
    )


def test_the_embedded_checkpoint_has_the_trained_architecture() -> None:
    written = json.loads((EMBEDDED / "config.json").read_text())
    assert {key: written[key] for key in CONFIG} == CONFIG


def test_the_assets_stay_small() -> None:
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 8_000_000


def test_a_batch_marks_what_the_assistant_writes() -> None:
    tokenizer = train_tokenizer()
    seen = 0
    for batch in itertools.islice(batches(tokenizer, 3072, seed=3), 12):
        for ids, marked in zip(batch.token_ids.tolist(), batch.is_answer.tolist(), strict=True):
            starts = [place for place in range(1, len(ids)) if marked[place] and not marked[place - 1]]
            ends = [place for place in range(1, len(ids)) if marked[place - 1] and not marked[place]]
            for start, end in zip(starts, [*ends, len(ids)][: len(starts)], strict=True):
                prompt = tokenizer.decode(ids[:start], skip_special_tokens=False)
                answer = tokenizer.decode(ids[start:end], skip_special_tokens=False)
                assert prompt.endswith(("<|im_start|>assistant\n<think>\n", "<|im_start|>assistant\n<think></think>"))
                assert answer.endswith("<|im_end|>")
                assert "<|im_start|>" not in answer
                assert not answer.startswith("\n") or answer.startswith("\n<tool_call>")
                seen += 1
    assert seen > 300


@pytest.fixture(scope="module")
def random_checkpoint(tmp_path_factory: Any) -> Any:
    """Return an untrained tiny: weights of the trainer, written for the server."""
    directory = tmp_path_factory.mktemp("untrained")
    hub = to_hub(initial_weights(CONFIG, seed=4))
    save_file(hub, directory / "model.safetensors", {"format": "pt"})
    (directory / "config.json").write_text(json.dumps(CONFIG))
    return directory


def trainable(directory: Any) -> Any:
    """Return the training network over a checkpoint's weights."""
    weights = {name: value.clone() for name, value in initial_weights(CONFIG, seed=4).items()}
    return TinyModel(
        CONFIG, {n: v if n.endswith("bias") and "gate" in n else v.bfloat16().float() for n, v in weights.items()}
    )


def test_the_trained_network_is_the_served_one(random_checkpoint: Any) -> None:
    assert audit(Checkpoint.open(random_checkpoint)).errors == []
    ids = torch.randint(0, CONFIG["vocab_size"], (70,), generator=torch.Generator().manual_seed(0))
    model = trainable(random_checkpoint)
    with torch.no_grad():
        hidden = model.hidden_states(ids[None])
        found = model.logits(hidden)[0].numpy()
        draft = model.logits(model.mtp_hidden_states(ids[None, 1:], hidden[:, :-1]))[0, -1].numpy()
    executor = make_executor(random_checkpoint)
    served = executor.forward(make_batch([(0, 0, ids[:-1].tolist(), False)])).logits
    assert np.abs(served - found[:-1]).max() < 1e-3
    assert np.abs(executor.draft([DraftToken(0, int(ids[-1]))])[0] - draft).max() < 1e-3
    expected = oracle.logits(oracle.load_model(random_checkpoint), ids).numpy()
    assert np.abs(found - expected).max() < 1e-3


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    """Bit for bit, optimizer included; the corpus goes on where it stood."""

    def train(name: Any, *options: Any) -> None:
        common = ["--output", str(tmp_path / name), "--threads", "1", "--batch-tokens", "512"]
        result = CliRunner().invoke(main, [*common, *options])
        assert result.exit_code == 0, result.output

    train("whole", "--steps", "4")
    train("halves", "--steps", "4", "--minutes", "0")
    for until in (2, 4):
        trainer = Trainer(0, 4)
        trainer.load(tmp_path / "halves" / STATE)
        stream = batches(train_tokenizer(), 512, 1, skip=trainer.step)
        while trainer.step < until:
            trainer.train_step(next(stream))
        trainer.save(tmp_path / "halves" / STATE)
    with safe_open(tmp_path / "whole" / STATE, "pt") as one, safe_open(tmp_path / "halves" / STATE, "pt") as two:
        assert set(one.keys()) == set(two.keys())
        assert one.metadata() == two.metadata()
        for name in one.keys():  # noqa: SIM118
            assert torch.equal(one.get_tensor(name), two.get_tensor(name)), name


def test_a_resumed_stream_of_batches_meets_the_same_ones_also_where_the_corpus_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches_module, "STAGES", ((0, Mix()), (3, Mix(echo=0.5)), (4, Mix(is_varied=True))))
    tokenizer = train_tokenizer()
    whole = list(itertools.islice(batches(tokenizer, 2048, 1), 7))
    for skip in (1, 3, 5):
        resumed = itertools.islice(batches(tokenizer, 2048, 1, skip=skip), 7 - skip)
        for one, other in zip(whole[skip:], resumed, strict=True):
            assert torch.equal(one.token_ids, other.token_ids)
    assert not torch.equal(whole[0].token_ids, whole[3].token_ids)


def test_spread_gains_of_the_final_norm_change_no_logit_of_the_target() -> None:
    weights = to_hub(initial_weights(CONFIG, seed=3))
    spread = spread_final_norm(weights)
    token_ids = torch.arange(3, 40)[None]
    before, after = (TinyModel(CONFIG, as_trained(tensors)) for tensors in (weights, spread))
    hidden = [model.hidden_states(token_ids) for model in (before, after)]
    assert torch.equal(before.logits(hidden[0]), after.logits(hidden[1]))
    similarity = torch.cosine_similarity(hidden[0], hidden[1], dim=-1)
    assert similarity.mean() < 0.8
    drafts = [
        model.logits(model.mtp_hidden_states(token_ids, states))
        for model, states in zip((before, after), hidden, strict=True)
    ]
    assert (drafts[0].argmax(-1) == drafts[1].argmax(-1)).float().mean() > 0.8


def as_trained(hub: Any) -> Any:
    """Return hub tensors in float32 under the trainable network's names, experts as one tensor."""
    banks: dict[str, dict[int, Any]] = {}
    result = {}
    for name, value in hub.items():
        bank = re.fullmatch(r"(.*\.experts)\.(\d+)\.(\w+_proj)\.weight", name)
        if bank:
            banks.setdefault(f"{bank[1]}.{bank[3]}", {})[int(bank[2])] = value.float()
        else:
            result[name] = value.float()
    return result | {name: torch.stack([parts[i] for i in range(len(parts))]) for name, parts in banks.items()}


def test_one_batch_again_and_again_is_learned() -> None:
    """The small form of the run below: each loss on one batch halves in a few steps."""
    trainer, batch = Trainer(0, 16), next(batches(train_tokenizer(), 512, 1))
    first, *_, last = [trainer.train_step(batch) for _ in range(16)]
    for key in ("loss", "mtp_1", "mtp_2"):
        assert last[key] < 0.5 * first[key]


@pytest.mark.slow
def test_a_short_run_learns(tmp_path: Path) -> None:
    """A short run of the real script: the loss of target and drafts falls well below the start's."""
    result = CliRunner().invoke(
        main, ["--output", str(tmp_path), "--steps", "160", "--batch-tokens", "1024", "--threads", "1"]
    )
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert records[-1]["step"] == 160
    for key in ("loss", "mtp_1", "mtp_2"):
        last = [record[key] for record in records[-4:]]  # batches differ in what they ask
        assert sum(last) / len(last) < 0.5 * records[0][key]
