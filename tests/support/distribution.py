"""The probabilities that a sampler draws by, over the whole vocabulary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trtnemo.runtime.sampler import candidates
from trtnemo.runtime.sampling_params import SamplingParams


def distribution(logits: NDArray[np.float64], params: SamplingParams) -> NDArray[np.float64]:
    """Return the probabilities of all tokens that temperature, top_k, top_p and min_p leave, in that order."""
    probabilities = np.zeros_like(logits)
    ids, kept = candidates(logits, params)
    probabilities[ids] = kept
    return probabilities
