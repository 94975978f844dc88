"""Names of modules: those that stand alone, parents, other spellings, and patterns of a config that mean several."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trtnemo.errors import CheckpointError

EMBEDDING, HEAD, DRAFT = "backbone.embeddings", "lm_head", "mtp."
_MAXIMUM_PATTERNS, _MAXIMUM_LENGTH, _MAXIMUM_REPEATS = 64, 1000, 4
_STACK = re.compile(r"(.+\.mixer)\.(?:experts\.(up_proj|down_proj)|switch_mlp\.(fc1|fc2))(?:\.weight)?")
_REPEAT = re.compile(r"[*+]|\{\d*,?\d*\}")


def self_and_parents(module: str) -> Iterator[str]:
    """Yield a module's name, then its parents': an export of fused experts names `mixer.experts` for all of them."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def spellings(module: str) -> tuple[str, ...]:
    """Return a module's name and, below the backbone, the one that transformers 5 and vLLM give it."""
    head, dot, tail = module.partition(".")
    return (module, f"model.{tail}") if dot and head == "backbone" else (module,)


def hub_name(name: str) -> str:
    """Return a module's or tensor's name as the hub's checkpoints have it, whatever program wrote it.

    Source: transformers 5 (`model.`), the hub's model code and vLLM (`backbone.`), names from inside the causal model
    (huggingface/peft #1579), axolotl #3508 (`embedding`).
    """
    head, _, tail = name.partition(".")
    if head == "model":
        name = f"backbone.{tail}"
    elif head in ("layers", "embeddings", "norm_f"):
        name = f"backbone.{name}"
    for other in ("backbone.embedding", "backbone.embed_tokens"):
        if name == other or name.startswith(f"{other}."):
            return EMBEDDING + name[len(other) :]
    return name


def stacked_experts(name: str) -> tuple[str, str] | None:
    """Return the `experts` module and the projection of a tensor that holds a layer's experts, in the hub's spelling.

    Source: transformers 5.23 NemotronHExperts (`experts.up_proj`), mlx-lm models/nemotron_h.py (`switch_mlp.fc1`).
    """
    match = _STACK.fullmatch(name)
    return (
        None if match is None else (f"{match[1]}.experts", match[2] or {"fc1": "up_proj", "fc2": "down_proj"}[match[3]])
    )


def compile_patterns(texts: list[str], where: str) -> tuple[re.Pattern[str], ...]:
    """Return regular expressions of a config; raises CheckpointError for what is none, or could take for ever.

    A config comes from anywhere, and each is tried on every module: repeated groups, and more than a few repeats, can
    take time that grows without bound in the length of a name.
    """
    if len(texts) > _MAXIMUM_PATTERNS:
        raise CheckpointError(f"holds {len(texts)} patterns, more than {_MAXIMUM_PATTERNS}", where=where)
    return tuple(_compile(text, where) for text in texts)


def _compile(text: str, where: str) -> re.Pattern[str]:
    repeats = len(_REPEAT.findall(re.sub(r"\\.", "", text)))
    if len(text) > _MAXIMUM_LENGTH or repeats > _MAXIMUM_REPEATS or re.search(r"\)[*+{]", text):
        raise CheckpointError(f"the pattern {text[:100]!r} repeats too much to be tried on every module", where=where)
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{text[:100]!r} is no pattern: {error}", where=where) from None
