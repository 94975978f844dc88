"""The bytes that each token of a byte-level vocabulary stands for."""

from __future__ import annotations

import json
from typing import Any


def byte_alphabet() -> dict[str, int]:
    """Return the letter that byte-level BPE writes for each byte (OpenAI's GPT-2: printable ones for themselves)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def is_byte_level(tokenizer: Any) -> bool:
    """Return whether a tokenizer's vocabulary is spelled in that alphabet."""
    decoder = json.loads(tokenizer.to_str()).get("decoder") or {}
    return any(part.get("type") == "ByteLevel" for part in [decoder, *decoder.get("decoders", [])])


def bytes_of_tokens(tokenizer: Any) -> list[bytes]:
    """Return every token's bytes, by id; added tokens are spelled as they are, and gaps are empty."""
    alphabet = byte_alphabet()
    added = tokenizer.get_added_tokens_decoder()
    size = max([tokenizer.get_vocab_size() - 1, *added]) + 1
    found = [b""] * size
    for text, token_id in tokenizer.get_vocab().items():
        if token_id in added:
            found[token_id] = text.encode()
        else:
            found[token_id] = bytes(alphabet[letter] for letter in text if letter in alphabet)
    return found
