"""From a row of logits to a token: natively where that was compiled, else in numpy, with the same outcome."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtnemo.backends import Draw
from trtnemo.native import find_native
from trtnemo.runtime.sampling_params import SamplingParams

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
# bit i of word i / 32 allows token i
TokenMask = npt.NDArray[np.uint32]

_BLOCK = 64
_STEP = np.uint64(0x9E3779B97F4A7C15)


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
    shifted = logits - np.max(logits)
    total = float(np.log(np.exp(shifted).sum(dtype=np.float64)))
    best = _best(logits, min(alternatives, len(logits))) if alternatives else ()
    return TokenLogprob(
        token_id, float(shifted[token_id]) - total, tuple((int(i), float(shifted[i]) - total) for i in best)
    )


class Sampler:
    """Draws the tokens of one sequence; a seed makes its draws repeatable.

    The token at a place is the candidate with the largest log probability plus noise, and the noise belongs to seed,
    place and token alone (Gumbel's trick, after E. J. Gumbel 1954). So a draw has exactly the law of its probabilities,
    and a draft head that is given the same noise proposes what the target will draw wherever the two agree well
    enough: a draft passes when it is the target's own token, and drafting changes no token of a sequence.
    """

    def __init__(self, params: SamplingParams, prompt: list[int]) -> None:
        self.params = params
        self.seed = secrets.randbits(63) if params.seed is None else params.seed % 2**63
        self.place = 0
        self.prompt = set(prompt)
        self.generated: Counter[int] = Counter()
        penalties = (params.repetition_penalty != 1.0, params.presence_penalty, params.frequency_penalty)
        self._adjusts = any(penalties) or bool(params.logit_bias)

    def sample(self, logits: Float32, forbidden: frozenset[int] = frozenset(), allowed: TokenMask | None = None) -> int:
        """Return the next token; `forbidden` ones cannot be drawn, and of the others only those of the mask."""
        return self.count(self._choose(logits, forbidden, self.place, allowed))

    def draft(self, logits: Float32, ahead: int) -> int:
        """Return a proposal for the token `ahead` places after the next one; nothing is counted."""
        return self._choose(logits, frozenset(), self.place + ahead)

    def drawn_at(self, ahead: int) -> Draw | None:
        """Return how an executor draws the token `ahead` places after the next one; None where it cannot."""
        if self._adjusts:
            return None
        params = self.params
        return Draw(params.temperature, params.top_k, params.top_p, params.min_p, self.seed, self.place + ahead)

    def count(self, token: int) -> int:
        """Count a token in, for the penalties, and return it."""
        self.generated[token] += 1
        self.place += 1
        return token

    def _choose(self, logits: Float32, forbidden: frozenset[int], place: int, allowed: TokenMask | None = None) -> int:
        row = self._adjust(logits, forbidden) if forbidden or self._adjusts else logits
        if self.params.temperature == 0 and allowed is None:
            return int(np.argmax(row))
        return draw(row, self.params, self.seed, place, allowed)

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


def draw(
    row: Float32 | Float64, params: SamplingParams, seed: int, place: int, allowed: TokenMask | None = None
) -> int:
    """Return the token that is drawn at a place, or the likeliest at temperature 0, of those that a mask allows."""
    native = find_native()
    if native is None:
        return draw_in_numpy(row.astype(np.float64), params, seed, place, allowed)
    rule = params.temperature, params.top_k, params.top_p, params.min_p
    return int(native.sample_token(np.ascontiguousarray(row), *rule, seed, place, allowed))


def draw_in_numpy(row: Float64, params: SamplingParams, seed: int, place: int, allowed: TokenMask | None = None) -> int:
    """Return the same token without native code."""
    if allowed is not None:
        row = np.where(bits_of(allowed, len(row)), row, -np.inf)
    if params.temperature == 0:
        return int(np.argmax(row))
    ids, probabilities = candidates(row, params)
    return int(ids[np.argmax(np.log(probabilities) + noise(seed, place, ids))])


def mask_of(ids: Iterable[int], vocab_size: int) -> TokenMask:
    """Return the mask that allows these tokens."""
    bits = np.zeros((vocab_size + 31) // 32 * 32, np.uint8)
    bits[list(ids)] = 1
    return np.packbits(bits, bitorder="little").view(np.uint32)


def bits_of(mask: TokenMask, count: int) -> npt.NDArray[np.bool_]:
    """Return a mask as one truth value a token."""
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")[:count].astype(np.bool_)
    return np.pad(bits, (0, count - len(bits)))


def candidates(logits: Float64, params: SamplingParams) -> tuple[Int64, Float64]:
    """Return the tokens that temperature, top_k, top_p and min_p leave, and their probabilities, all above zero.

    Of tokens that are equally likely, those with lower numbers come first.
    """
    scaled = logits / params.temperature
    masses = np.exp(scaled - scaled.max())
    ids = _likeliest(scaled, masses, params)
    # a top_k of the whole vocabulary leaves all of it, of which `ids` may be a part
    kept = masses[ids] / (masses[ids].sum() if 0 < params.top_k < len(scaled) else masses.sum())
    if params.top_p < 1:
        # the smallest set whose mass reaches top_p: a token stays when the mass before it falls short
        mass_before = np.cumsum(kept) - kept
        ids, kept = ids[mass_before < params.top_p], kept[mass_before < params.top_p]
    is_likely = (kept > 0) & (kept >= params.min_p * kept.max())
    ids, kept = ids[is_likely], kept[is_likely]
    return ids, kept / kept.sum()


def _likeliest(scaled: Float64, masses: Float64, params: SamplingParams) -> Int64:
    """Return as many tokens as the limits can leave, best first where top_p counts on it.

    Sorting a whole vocabulary would cost more than all the rest.
    """
    if params.top_k and params.top_k < len(scaled):
        return _best(scaled, params.top_k)
    if params.top_p < 1:
        count, wanted = 256, params.top_p * masses.sum()
        while count < len(scaled):
            ids = _best(scaled, count)
            if masses[ids].sum() >= wanted:
                return ids
            count *= 8
        return np.argsort(-scaled, kind="stable")
    return np.arange(len(scaled))


def _best(scaled: Float32 | Float64, count: int) -> Int64:
    """Return the `count` best tokens, best first; of equal ones the lower numbers."""
    reached = np.flatnonzero(scaled >= _least_of_best(scaled, count))
    return reached[np.argsort(-scaled[reached], kind="stable")[:count]]


def _least_of_best(scaled: Float32 | Float64, count: int) -> np.floating[Any]:
    """Return the value of the last of the `count` best.

    As many blocks have a maximum of at least the bound taken here, so as many values reach it: only those are sorted.
    """
    blocks = len(scaled) // _BLOCK
    if count < blocks:
        tops = scaled[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        scaled = scaled[scaled >= np.partition(tops, blocks - count)[blocks - count]]
    least: np.floating[Any] = np.partition(scaled, len(scaled) - count)[len(scaled) - count]
    return least


def noise(seed: int, place: int, ids: Int64) -> Float64:
    """Return Gumbel noise of each token at a place, from a hash of seed, place and token (SplitMix64's mixing)."""
    start = np.array([seed, place + 1], np.uint64) * _STEP
    mixed = _mix(_mix(start[:1]) + start[1:])
    uniform = (_mix(mixed + ids.astype(np.uint64) * _STEP) >> np.uint64(11)).astype(np.float64)
    result: Float64 = -np.log(-np.log((uniform + 0.5) * 2.0**-53))
    return result


def _mix(values: UInt64) -> UInt64:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: UInt64 = values ^ (values >> np.uint64(31))
    return result
