"""One run: prompts are drawn, sent, and what came of it is written down."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from trtnemo.bench.load.generator import Generator
from trtnemo.bench.load.observe import Observation, describe
from trtnemo.bench.load.prompts import draw_prompts, prompts_digest
from trtnemo.bench.load.record import Prediction, RunRecord, Server
from trtnemo.bench.load.shape import LoadShape
from trtnemo.bench.load.summary import summarize
from trtnemo.errors import MeasurementError
from trtnemo.machine import examine_machine

# from (sequences at once, mean prompt, mean answer, acceptance) to the plan's bound
Predict = Callable[[int, float, float, float | None], Prediction]


@dataclass(frozen=True)
class Target:
    """What is measured: an address, the model to ask for, and what only who started it knows."""

    url: str
    model: str | None = None
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    recipe_digest: str | None = None
    devices: int = 1

    def server(self) -> Server:
        """Return what serves there; raises ServerError."""
        reported = describe(self.url, self.model)
        own = {"recipe": self.recipe or reported.recipe, "settings": self.settings, "recipe_digest": self.recipe_digest}
        return reported.model_copy(update=own)


def new_nonce() -> str:
    """Return what no earlier run's marks were made of."""
    return secrets.token_hex(4)


def run_load(
    generator: Generator,
    target: Target,
    shape: LoadShape,
    predict: Predict | None = None,
    *,
    nonce: str | None = None,
) -> RunRecord:
    """Send one load and return its record; a load whose measuring failed is sent once more, with other marks.

    Raises ServerError when nothing answers, no request was answered or the server was restarted meanwhile,
    MeasurementError when measuring failed twice; UsageError on bad prompts.
    """
    nonce = new_nonce() if nonce is None else nonce
    try:
        return _run_load(generator, target, shape, predict, nonce)
    except MeasurementError:
        return _run_load(generator, target, shape, predict, f"{nonce}-again")


def _run_load(generator: Generator, target: Target, shape: LoadShape, predict: Predict | None, nonce: str) -> RunRecord:
    prompts = draw_prompts(shape, nonce)
    server = target.server()
    observation = Observation(target.url)
    started = time.time()
    requests = generator.run(shape, prompts, target.url, server.model)
    record = RunRecord(
        started=started,
        shape=shape,
        server=server,
        machine=describe_machine(),
        devices=target.devices,
        counters=observation.difference(),
        generator=generator.name,
        prompts_digest=prompts_digest(prompts),
        nonce=nonce,
        requests=tuple(requests),
    )
    summarize(record)  # a run without an answer is not a run
    return record if predict is None else record.model_copy(update={"prediction": _predicted(record, predict)})


def _predicted(record: RunRecord, predict: Predict) -> Prediction | None:
    """Return the bound for what was really sent and answered; an open load has none."""
    if record.shape.concurrency is None:
        return None
    answered = [request for request in record.requests if request.status == "ok" and not request.warmup]
    prompts = [(item.prompt_tokens or 0) - (item.cached_tokens or 0) for item in answered]
    answers = [item.output_tokens or 0 for item in answered]
    batch = min(record.shape.concurrency, len(answered))
    return predict(batch, fmean(prompts), fmean(answers), record.counters.acceptance)


@lru_cache(maxsize=1)
def describe_machine() -> dict[str, str]:
    """Return this machine in a few words; the server may run on another."""
    found = examine_machine()
    return {
        "processor": found.processor,
        "cores": str(found.cores),
        "memory_gib": str(found.memory_gib),
        "gpu": found.gpu,
        "native_kernels": found.native_kernels,
    }
