"""Texts that scales are calibrated on, and logits compared over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from trtnemo.errors import RequestError, UsageError

_MOST_BYTES = 256 << 20


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file: one a line, or JSON lines with a `text`; raises UsageError where there are none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"is longer than {_MOST_BYTES:,} bytes", where=str(path), remedy="Give a part of it")
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a text may hold other ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from None
    texts = list(_of_json(lines, path)) if path.suffix == ".jsonl" else lines
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise UsageError("holds no text", where=str(path), remedy="Give one text a line")
    return texts


def tokenize(directory: Path, texts: list[str], vocabulary: int, most: int) -> list[list[int]]:
    """Return token ids of texts, in their order, of `most` tokens in all: the last text is cut, the others left out.

    Raises UsageError for a tokenizer of another vocabulary.
    """
    from trtnemo.text import TextTokenizer

    tokenizer = TextTokenizer(directory)
    found: list[list[int]] = []
    for text in texts:
        try:
            ids = tokenizer.encode(text)[:most]
        except RequestError as error:
            raise UsageError(f"a text cannot be read: {error.what}", where="the texts") from None
        if any(token >= vocabulary for token in ids):
            raise UsageError(f"its tokenizer gives token {max(ids)}, and the network knows {vocabulary}",
                             where=str(directory), remedy="Its tokenizer.json is another model's")  # fmt: skip
        if ids:
            found.append(ids)
            most -= len(ids)
        if most <= 0:
            break
    if not found:
        raise UsageError("its tokenizer makes no token of the texts", where=str(directory))
    return found


def _of_json(lines: list[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            content = None
        text = content.get("text") if isinstance(content, dict) else content
        if not isinstance(text, str):
            raise UsageError(f"line {number} is no text and no object with a `text`", where=str(path))
        yield text
