"""SGLang's pool of Mamba states: how many slots it has at start, and how many requests may run over it.

Read in sglang model_runner's memory-pool mixin (_handle_max_mamba_cache, _resolve_max_num_reqs; the stored main branch,
and reports of 0.5.10 that quote the same lines): --max-mamba-cache-size, else the running requests without the radix
cache, else ratio / (1 + ratio) of what the static share leaves after the weights. Requests are capped at slots / 3 with
the radix cache and slots / 1 without, and not one slot, or not one request, stops the server.
"""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.plan.server_memory import Start, StartFault

RATIO = 0.9  # the default of 0.5.10; 0.5.23 records none, and is taken to have kept it
_SLOTS_WITH_RADIX_CACHE = 3
_SOURCE = "sglang model_runner_kv_cache_mixin.py, _handle_max_mamba_cache"


@dataclass(frozen=True)
class MambaPool:
    """How a start's options size the pool: by slots where they are given, else by a share of the memory.

    `replicas` share the slots that are given; `is_capped`: the running requests are given, not taken by the plan.
    """

    ratio: float = RATIO
    slots: int | None = None
    replicas: int = 1
    is_capped: bool = True

    def check(self, start: Start) -> StartFault | None:
        """Return why not one request can run, or why fewer can than are asked for."""
        if not start.state.mamba_layers:
            return None
        each = _SLOTS_WITH_RADIX_CACHE if start.batch.block_reuse else 1
        slots = self.count_slots(start, each)
        running = slots // each
        pool = f"its pool of Mamba states has {slots:,} slots, {each} for a request"
        if running < 1:
            remedy = "raise --mem-fraction-static or --mamba-full-memory-ratio, or give --disable-radix-cache"
            return StartFault("sglang-mamba-pool", True, f"SGLang refuses to start: {pool}", remedy, _SOURCE)
        if running < start.batch.size and self.is_capped:
            sentence = f"SGLang runs {running:,} of {start.batch.size:,} requests at once: {pool}"
            remedy = "raise --mamba-full-memory-ratio, or lower limits.max_batch_size (--max-running-requests)"
            return StartFault("sglang-mamba-pool", False, sentence, remedy, _SOURCE)
        return None

    def count_slots(self, start: Start, each: int) -> int:
        """Return the slots of one replica."""
        if self.slots is not None:
            return self.slots // self.replicas
        if not start.batch.block_reuse and self.is_capped:
            return start.batch.size
        # a verification's states are kept beside each running request's own
        beside = (start.batch.draft_tokens + 1) / each if start.batch.draft_tokens else 0
        return int(start.pool * self.ratio / (1 + self.ratio) / (start.state.per_slot * (1 + beside)))
