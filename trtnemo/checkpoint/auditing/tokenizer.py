"""The tokenizer beside the weights: whether it is there, and its ids fit the embedding."""

from __future__ import annotations

from collections.abc import Iterator

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.rules import found
from trtnemo.files.json_file import read_json_object
from trtnemo.findings import Finding


def tokenizer_findings(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield what is wrong with tokenizer.json; raises CheckpointError where it is no JSON."""
    path = checkpoint.directory / "tokenizer.json"
    if not path.is_file():
        yield found("tokenizer-missing", path.name, "is not in the directory")
        return
    content, size = read_json_object(path), checkpoint.config.vocab_size
    model, added = content.get("model"), content.get("added_tokens")
    vocabulary = model.get("vocab", {}) if isinstance(model, dict) else {}
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    ids += range(len(vocabulary)) if isinstance(vocabulary, list) else ()
    ids += [token.get("id", 0) for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    largest = max((number for number in ids if isinstance(number, int)), default=-1)
    if largest >= size:
        yield found("tokenizer-vocabulary", path.name, f"its largest id is {largest}, but vocab_size is {size}")
