"""A measured point of a report."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.bench.load.record import RunRecord
from trtnemo.bench.load.summary import Summary


@dataclass(frozen=True)
class Point:
    """A run, its numbers, and what a reader is to call it."""

    name: str
    run: RunRecord
    summary: Summary

    @property
    def streams(self) -> int | None:
        """Requests in flight, None where requests came by a clock."""
        return self.run.shape.concurrency

    @property
    def throughput(self) -> float:
        """Output tokens a second of one device."""
        return self.summary.metrics["output_tokens_per_second_per_device"]

    @property
    def speed(self) -> float | None:
        """Tokens a second of one user, None where no time between tokens was measured."""
        return self.summary.metrics.get("tokens_per_second_per_user")

    @property
    def drafts(self) -> bool:
        """Whether the server said that it drafted."""
        return bool(self.run.counters.drafted_tokens)

    def place(self, *, settings: bool = True) -> tuple[object, ...]:
        """Return what must be equal for points to differ in their number of streams alone.

        settings: whether those of speculation count; without them, also in whether and how they draft.
        """
        server, shape = self.run.server, self.run.shape
        kept = tuple(word for word in server.settings if settings or not word.startswith("speculation."))
        load = shape.model_dump_json(exclude={"concurrency", "requests", "warmup"})
        return server.software, server.model, server.recipe, kept, self.run.devices, load, settings and self.drafts
