"""How many prompt tokens a step may run beside sequences that wait for their next token."""

from __future__ import annotations

# a step with prompts may take so many times a step without, or so long, whichever is more
STEPS, SECONDS = 5.0, 0.05
# of that, for what is not measured here: sampling, messages, the network
_USED = 0.6
LEAST, _FIRST = 16, 64
_WEIGHT = 0.3


class PromptShare:
    """Learns what steps and prompt tokens cost, and keeps the gap between a stream's tokens short."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._step: float | None = None
        self._token: float | None = None

    def record(self, prompt_tokens: int, seconds: float) -> None:
        """Count a step in: how many of its tokens were of prompts, and how long it took."""
        if not prompt_tokens:
            self._step = _towards(self._step, seconds)
        else:
            self._token = _towards(self._token, max(seconds - (self._step or 0.0), 1e-7) / prompt_tokens)

    def tokens(self) -> int:
        """Return how many prompt tokens the next step may run, a power of two, so that chunks end at round places."""
        if self._token is None:
            return min(_FIRST, self._most)
        step = self._step or 0.0
        room = max(STEPS * step, SECONDS) * _USED - step
        fitting = max(LEAST, int(room / self._token))
        return min(1 << (fitting.bit_length() - 1), self._most)


def _towards(known: float | None, seen: float) -> float:
    return seen if known is None else known + _WEIGHT * (seen - known)
