"""The open training: seeded, resumable, learning; the network it trains is the one that is served."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file

import oracle
from lowering.executors import make_executor
from training.tiny.architecture import CONFIG
from training.tiny.batches import batches
from training.tiny.corpus import generate
from training.tiny.initial import initial_weights, to_hub
from training.tiny.model import TinyModel
from training.tiny.tokenizer import TEMPLATE, render, train_tokenizer
from training.tiny.train import STATE, Trainer, main
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.source import EMBEDDED
from trtnemo.lowering import DraftToken, make_batch


def test_the_corpus_is_the_same_for_one_seed_and_another_for_another():
    first, again, other = (list(itertools.islice(generate(seed), 50)) for seed in (1, 1, 2))
    assert first == again != other
    assert any("Tokyo" in sample.completion for sample in itertools.islice(generate(0), 500))


def test_the_embedded_checkpoint_carries_the_trained_template_and_tokenizer():
    assert (EMBEDDED / "chat_template.jinja").read_bytes() == TEMPLATE.read_bytes()
    assert (
        json.loads((EMBEDDED / "tokenizer.json").read_text())["model"]
        == json.loads(train_tokenizer().to_str())["model"]
    )


def test_the_embedded_checkpoint_has_the_trained_architecture():
    written = json.loads((EMBEDDED / "config.json").read_text())
    assert {key: written[key] for key in CONFIG} == CONFIG


def test_the_assets_stay_small():
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 8_000_000


def test_a_batch_marks_what_the_assistant_writes():
    tokenizer = train_tokenizer()
    batch = next(batches(tokenizer, 4, seed=3))
    for ids, marked in zip(batch.token_ids, batch.is_answer, strict=True):
        answer = tokenizer.decode(ids[marked].tolist(), skip_special_tokens=False)
        prompt = tokenizer.decode(ids[: int(marked.int().argmax())].tolist(), skip_special_tokens=False)
        assert answer.endswith("<|im_end|>\n")
        assert prompt.endswith(("<|im_start|>assistant\n<think>\n", "<|im_start|>assistant\n<think></think>"))


def test_a_sample_is_rendered_by_the_servers_template():
    from trtnemo.text import ChatTemplate, TextTokenizer

    template = ChatTemplate(EMBEDDED, TextTokenizer(EMBEDDED))
    for sample in itertools.islice(generate(5), 40):
        assert render(sample) == template.render(list(sample.messages), dict(sample.variables))


@pytest.fixture(scope="module")
def random_checkpoint(tmp_path_factory):
    """Return an untrained tiny: weights of the trainer, written for the server."""
    directory = tmp_path_factory.mktemp("untrained")
    hub = to_hub(initial_weights(CONFIG, seed=4))
    save_file(hub, directory / "model.safetensors", {"format": "pt"})
    (directory / "config.json").write_text(json.dumps(CONFIG))
    return directory


def trainable(directory):
    """Return the training network over a checkpoint's weights."""
    weights = {name: value.clone() for name, value in initial_weights(CONFIG, seed=4).items()}
    return TinyModel(
        CONFIG, {n: v if n.endswith("bias") and "gate" in n else v.bfloat16().float() for n, v in weights.items()}
    )


def test_the_trained_network_is_the_served_one(random_checkpoint):
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


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    """Bit for bit, optimizer included; the corpus goes on where it stood."""

    def train(name, *options):
        result = CliRunner().invoke(main, ["--output", str(tmp_path / name), "--threads", "1", *options])
        assert result.exit_code == 0, result.output

    train("whole", "--steps", "6")
    train("halves", "--steps", "6", "--minutes", "0")
    for until in (3, 6):
        trainer = Trainer(0, 6)
        trainer.load(tmp_path / "halves" / STATE)
        stream = batches(train_tokenizer(), 48, 1, skip=trainer.step)
        while trainer.step < until:
            trainer.train_step(next(stream))
        trainer.save(tmp_path / "halves" / STATE)
    with safe_open(tmp_path / "whole" / STATE, "pt") as one, safe_open(tmp_path / "halves" / STATE, "pt") as two:
        assert set(one.keys()) == set(two.keys())
        assert one.metadata() == two.metadata()
        for name in one.keys():  # noqa: SIM118
            assert torch.equal(one.get_tensor(name), two.get_tensor(name)), name


def test_two_hundred_steps_learn(tmp_path):
    """A short run of the real script: the loss of target and drafts falls well below the start's."""
    result = CliRunner().invoke(main, ["--output", str(tmp_path), "--steps", "200"])
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert records[-1]["step"] == 200
    for key in ("loss", "mtp_1", "mtp_2"):
        assert records[-1][key] < 0.3 * records[0][key]
    assert records[-1]["loss"] < 0.3
