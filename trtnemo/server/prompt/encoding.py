"""Text to token ids, refused where it cannot fit before the work is done."""

from __future__ import annotations

from collections.abc import Sequence

from trtnemo.errors import PromptTooLongError
from trtnemo.server.prompt.text_side import TextSide
from trtnemo.text import TextTokenizer


def encode_within(side: TextSide, text: str, most: int | None = None) -> list[int]:
    """Return a prompt's ids, the last `most` of them; raises PromptTooLongError where it is too long for the context.

    Every token has a longest length, so that a text far too long is known before it is encoded.
    """
    limit, longest = side.max_seq_len, side.tokenizer.longest_token
    if len(text) > limit * longest and most is None:
        raise PromptTooLongError(
            f"the prompt has {len(text)} characters, which cannot be less than {len(text) // longest} tokens; "
            f"this engine holds {limit} with the answer",
            parameter="prompt",
            remedy="Shorten the prompt",
        )
    kept = text if most is None else text[-min(most, limit) * longest :]
    tokens = side.tokenizer.encode_prompt(kept)
    return tokens if most is None else tokens[-most:]


def bad_words(tokenizer: TextTokenizer, words: Sequence[str] | None) -> tuple[tuple[int, ...], ...]:
    """Return the ids of words that must not be written, at a text's beginning and behind a space."""
    found = {tuple(tokenizer.encode(form)) for word in words or () for form in (word, f" {word.lstrip()}")}
    return tuple(sorted(found))
