"""Train tiny: seeded, resumable, on a CPU.

usage: python -m training.tiny.train --output RUN [--steps N] [--minutes M] [--resume]
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from training.tiny.architecture import CONFIG
from training.tiny.batches import Batch, batches
from training.tiny.initial import BIAS, initial_weights
from training.tiny.model import TinyModel, Weights
from training.tiny.tokenizer import train_tokenizer, write_tokenizer

PEAK_RATE, WARM_UP, WEIGHT_DECAY, CLIP = 3e-3, 100, 0.02, 1.0
BATCH_TOKENS, MTP_WEIGHT, BIAS_STEP, LOGIT_ROWS = 3072, 0.3, 1e-3, 256
STATE = "state.safetensors"


class Trainer:
    """Weights, optimizer and step count of one run."""

    def __init__(self, seed: int, total_steps: int) -> None:
        self.seed, self.total_steps, self.step = seed, total_steps, 0
        self.weights = initial_weights(CONFIG, seed)
        self.model = TinyModel(CONFIG, self.weights)
        self.trained = [name for name in self.weights if not name.endswith(BIAS)]
        for name in self.trained:
            self.weights[name].requires_grad_(True)
        matrices = [self.weights[name] for name in self.trained if self.weights[name].dim() > 1]
        vectors = [self.weights[name] for name in self.trained if self.weights[name].dim() <= 1]
        groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-9)

    def rate(self) -> float:
        """Return the learning rate: warm-up, then a cosine down to a twentieth."""
        if self.step < WARM_UP:
            return PEAK_RATE * (self.step + 1) / WARM_UP
        progress = min(1.0, (self.step - WARM_UP) / max(1, self.total_steps - WARM_UP))
        return PEAK_RATE * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Run one step and return its losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        target, drafts = losses(self.model, batch)
        self.optimizer.zero_grad(set_to_none=True)
        (target + MTP_WEIGHT * torch.stack(drafts).mean()).backward()
        torch.nn.utils.clip_grad_norm_([self.weights[name] for name in self.trained], CLIP)
        self.optimizer.step()
        self._balance_experts()
        self.step += 1
        return {"loss": target.item(), "mtp_1": drafts[0].item(), "mtp_2": drafts[1].item()}

    @torch.no_grad()
    def _balance_experts(self) -> None:
        """Nudge the correction bias against each expert's load (DeepSeek-V3, arXiv 2412.19437, section 2.1.2)."""
        for prefix, load in self.model.expert_load.items():
            self.weights[f"{prefix}.gate.{BIAS}"] += BIAS_STEP * torch.sign(load.mean() - load)

    def save(self, path: Path) -> None:
        """Write weights and optimizer state, atomically."""
        tensors = {f"weight/{name}": value.detach() for name, value in self.weights.items()}
        for name in self.trained:
            state = self.optimizer.state.get(self.weights[name], {})
            tensors.update({f"{key}/{name}": value for key, value in state.items()})
        temporary = path.with_suffix(".partial")
        save_file(tensors, temporary, metadata={"step": str(self.step), "seed": str(self.seed)})
        os.replace(temporary, path)

    def load(self, path: Path) -> None:
        """Go on where `save` stood."""
        with safe_open(path, framework="pt") as file:
            self.step = int(file.metadata()["step"])
            with torch.no_grad():
                for name, value in self.weights.items():
                    value.copy_(file.get_tensor(f"weight/{name}"))
            for name in self.trained if self.step else []:
                keys = ("step", "exp_avg", "exp_avg_sq")
                self.optimizer.state[self.weights[name]] = {key: file.get_tensor(f"{key}/{name}") for key in keys}


def losses(model: TinyModel, batch: Batch) -> tuple[Tensor, list[Tensor]]:
    """Return the target's loss, and those of two draft depths through the one MTP head."""
    ids, is_answer = batch.token_ids, batch.is_answer
    # Products in bfloat16, which the served checkpoint is stored in; sums, norms and the scan stay in float32. A CPU
    # without instructions for it takes fifteen times as long over a step, and gets float32.
    with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported()):
        hidden = model.hidden_states(ids)
        target = _loss(model, hidden[:, :-1], ids[:, 1:], is_answer[:, 1:])
        drafts, state = [], hidden
        for depth in (1, 2):
            # state stands at tokens 0..T-depth; each is paired with the token after it, and predicts the next one
            state = model.mtp_hidden_states(ids[:, depth:], state[:, :-1])
            drafts.append(_loss(model, state[:, :-1], ids[:, depth + 1 :], is_answer[:, depth + 1 :]))
    return target, drafts


def _loss(model: TinyModel, hidden: Tensor, targets: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean over wanted places; rows are filled up to a multiple, for products of few shapes."""
    rows, expected = hidden[wanted], targets[wanted]
    filled = F.pad(rows, (0, 0, 0, -len(rows) % LOGIT_ROWS))
    return F.cross_entropy(model.logits(filled)[: len(rows)].float(), expected)


def write_run(trainer: Trainer, tokenizer: Tokenizer, output: Path) -> None:
    """Write the run's state and its tokenizer."""
    output.mkdir(parents=True, exist_ok=True)
    trainer.save(output / STATE)
    write_tokenizer(tokenizer, output)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="directory of the run")
@click.option("--steps", default=3000, show_default=True, help="steps in all; the rate falls towards them")
@click.option("--minutes", type=float, help="stop after so many minutes, whatever the step")
@click.option("--seed", default=0, show_default=True, help="seed of weights and corpus")
@click.option("--threads", default=2, show_default=True, help="torch threads")
@click.option("--batch-tokens", default=BATCH_TOKENS, show_default=True, help="places of one batch, padding included")
@click.option("--resume", is_flag=True, help="go on from the run's state")
def main(
    output: Path, steps: int, minutes: float | None, seed: int, threads: int, batch_tokens: int, resume: bool
) -> None:
    """Train tiny and write its state, tokenizer and log to --output."""
    torch.set_num_threads(threads)
    tokenizer = train_tokenizer()
    trainer = Trainer(seed, steps)
    if resume:
        trainer.load(output / STATE)
    output.mkdir(parents=True, exist_ok=True)
    started, tokens = time.monotonic(), 0
    stream = batches(tokenizer, batch_tokens, seed + 1, skip=trainer.step)
    with (output / "log.jsonl").open("a" if resume else "w", encoding="utf-8") as log:
        while trainer.step < steps and (minutes is None or time.monotonic() - started < minutes * 60):
            batch = next(stream)
            tokens += int((batch.token_ids > 0).sum())
            record: dict[str, Any] = trainer.train_step(batch)
            if trainer.step % 20 == 0 or trainer.step == steps:
                seconds = time.monotonic() - started
                record |= {"step": trainer.step, "tokens": tokens, "tokens_per_second": round(tokens / seconds)}
                log.write(json.dumps(record) + "\n")
                log.flush()
            if trainer.step % 200 == 0:
                write_run(trainer, tokenizer, output)
    write_run(trainer, tokenizer, output)
    click.echo(f"{output}: step {trainer.step} of {steps}")


if __name__ == "__main__":
    main()


__all__ = ["Trainer", "Weights", "losses", "main", "write_run"]
