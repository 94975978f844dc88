"""From a row of logits to a token, in numpy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtnemo.runtime.sampling_params import SamplingParams

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TokenLogprob:
    """A token's log probability under the raw logits, and the likeliest alternatives, best first."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


def log_softmax(logits: Float32) -> Float64:
    """Return log probabilities of one row [vocabulary]."""
    shifted = logits.astype(np.float64) - np.max(logits)
    result: Float64 = shifted - np.log(np.exp(shifted).sum())
    return result


def token_logprob(logits: Float32, token_id: int, alternatives: int) -> TokenLogprob:
    """Return the log probability of a token and of `alternatives` likeliest ones."""
    logprobs = log_softmax(logits)
    best = np.argsort(-logprobs, kind="stable")[:alternatives]
    return TokenLogprob(token_id, float(logprobs[token_id]), tuple((int(i), float(logprobs[i])) for i in best))


@dataclass(frozen=True)
class Draft:
    """A drafted token, and the distribution that it was drawn from; None where it is the likeliest one."""

    token_id: int
    probabilities: Float64 | None


class Sampler:
    """Draws the tokens of one sequence; a seed makes its draws repeatable."""

    def __init__(self, params: SamplingParams, prompt: list[int]) -> None:
        self.params = params
        self.generator: Any = np.random.default_rng(None if params.seed is None else params.seed % 2**63)
        self.prompt = set(prompt)
        self.generated: Counter[int] = Counter()

    def sample(self, logits: Float32, forbidden: frozenset[int] = frozenset()) -> int:
        """Return the next token; `forbidden` ones cannot be drawn."""
        adjusted = self._adjust(logits, forbidden)
        if self.params.temperature == 0:
            return self.count(int(np.argmax(adjusted)))
        return self.count(self._draw(distribution(adjusted, self.params)))

    def draft(self, logits: Float32) -> Draft:
        """Return a proposal from a draft head's logits; nothing is counted before it is verified."""
        adjusted = self._adjust(logits, frozenset())
        if self.params.temperature == 0:
            return Draft(int(np.argmax(adjusted)), None)
        probabilities = distribution(adjusted, self.params)
        return Draft(self._draw(probabilities), probabilities)

    def verify(self, logits: Float32, draft: Draft, forbidden: frozenset[int] = frozenset()) -> int:
        """Return the next token, distributed as `sample` would draw it: the drafted one means that it is accepted.

        A draft from q is kept with probability min(1, p/q); else the token comes from what p has beyond q (Leviathan et
        al., arXiv 2211.17192, appendix A).
        """
        adjusted = self._adjust(logits, forbidden)
        if draft.probabilities is None:
            return self.count(int(np.argmax(adjusted)))
        target, proposed = distribution(adjusted, self.params), draft.probabilities
        if self.generator.random() * proposed[draft.token_id] < target[draft.token_id]:
            return self.count(draft.token_id)
        rest = np.maximum(target - proposed, 0)
        return self.count(self._draw(rest / rest.sum()))

    def count(self, token: int) -> int:
        """Count a token in, for the penalties, and return it."""
        self.generated[token] += 1
        return token

    def _draw(self, probabilities: Float64) -> int:
        return int(self.generator.choice(len(probabilities), p=probabilities))

    def _adjust(self, logits: Float32, forbidden: frozenset[int]) -> Float64:
        """Return logits with penalties, bias and forbidden tokens applied."""
        params, adjusted = self.params, logits.astype(np.float64)
        if params.repetition_penalty != 1.0:
            seen = np.fromiter(self.prompt | self.generated.keys(), np.int64)
            values = adjusted[seen]
            adjusted[seen] = np.where(
                values > 0, values / params.repetition_penalty, values * params.repetition_penalty
            )
        if self.generated and (params.presence_penalty or params.frequency_penalty):
            ids = np.fromiter(self.generated.keys(), np.int64)
            counts = np.fromiter(self.generated.values(), np.float64)
            adjusted[ids] -= params.presence_penalty + params.frequency_penalty * counts
        for token_id, bias in params.logit_bias.items():
            adjusted[token_id] += bias
        if forbidden:
            adjusted[list(forbidden)] = -np.inf
        return adjusted


def distribution(logits: Float64, params: SamplingParams) -> Float64:
    """Return the probabilities that temperature, top_k, top_p and min_p leave, in that order."""
    scaled = logits / params.temperature
    order = np.argsort(-scaled, kind="stable")
    if params.top_k:
        order = order[: params.top_k]
    kept = np.exp(scaled[order] - scaled[order[0]])
    kept /= kept.sum()
    if params.top_p < 1:
        # the smallest set whose mass reaches top_p: a token stays when the mass before it falls short
        mass_before = np.cumsum(kept) - kept
        kept[mass_before >= params.top_p] = 0
    if params.min_p:
        kept[kept < params.min_p * kept[0]] = 0
    probabilities = np.zeros_like(scaled)
    probabilities[order] = kept / kept.sum()
    return probabilities
