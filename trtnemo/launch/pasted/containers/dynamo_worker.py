"""A worker of NVIDIA Dynamo: the server's own words among the worker's."""

from __future__ import annotations

from trtnemo.findings import Finding
from trtnemo.launch.servers.server import Server

_MODEL = ("--model", "--model-path")


def worker_words(server: Server, words: list[str]) -> tuple[list[str], tuple[tuple[Finding, ...], str | None]]:
    """Return the words that the server itself would read, what is said of the others, and which half they make."""
    worker, dialect = server.in_cluster.worker, server.dialect
    rest, own = worker.parted(words)
    model, others = _model(rest)
    if model is not None:
        others = [dialect.model_option, model, *others] if dialect.model_option else [model, *others]
    title = f"{worker.module} is NVIDIA Dynamo's worker around {dialect.title}"
    message = f"{title}: {', '.join(own)} are its own options and not checked" if own else title
    return others, ((Finding("note", "dynamo-worker", worker.module, message),), own.get("--disaggregation-mode"))


def _model(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the model that the words name, and the words without it."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in _MODEL:
            end = place + (1 if equals else 2)
            return (value if equals else next(iter(words[place + 1 : place + 2]), None)), words[:place] + words[end:]
    return None, words
