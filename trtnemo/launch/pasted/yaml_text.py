"""YAML of strangers: size, depth and aliases are bounded before anything is built from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import yaml

from trtnemo.errors import UsageError
from trtnemo.findings import Finding

MAXIMUM_BYTES = 1 << 18
MAXIMUM_NODES = 50_000
MAXIMUM_DEPTH = 64
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class YamlText:
    """The documents of a YAML text as plain data, and the keys that stand twice in one mapping: the last one counts."""

    documents: tuple[Any, ...]
    repeated: tuple[str, ...]

    @property
    def mapping(self) -> dict[str, Any]:
        """The only document, whose keys are texts; raises UsageError where it is no mapping."""
        if len(self.documents) != 1 or not isinstance(self.documents[0], dict):
            raise UsageError("is not a mapping of keys to values")
        return {str(key): value for key, value in self.documents[0].items()}

    @property
    def findings(self) -> list[Finding]:
        """A finding for each key that stands twice."""
        message = "stands twice in one mapping: the last one counts, or the file is refused"
        return [Finding("warning", "key-twice", name, message, "Say it once") for name in self.repeated]


def load_yaml(text: str) -> YamlText:
    """Return what a YAML text holds.

    Raises UsageError for what is no YAML, and for a text that is too large, too deep, or grows by its aliases.
    """
    if len(text.encode("utf-8", "replace")) > MAXIMUM_BYTES:
        raise UsageError(f"the YAML is longer than {MAXIMUM_BYTES} bytes")
    try:
        _require_small(text)
        loader, documents, repeated = _LOADER(text), [], []
        try:
            while loader.check_node():
                node = loader.get_node()
                repeated += _repeated_keys(node)  # before merged keys are laid in
                documents.append(loader.construct_document(node))
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise UsageError(f"is not YAML: {where}{problem or str(error).splitlines()[0]}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"holds a value that YAML cannot express: {error}") from None
    return YamlText(tuple(documents), tuple(dict.fromkeys(repeated)))


def _repeated_keys(root: Any) -> list[str]:
    """Return the keys that stand twice in one mapping below a node."""
    waiting: list[Any] = [root]
    seen: set[int] = set()
    found: list[str] = []
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            counts = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            found += [name for name, count in counts.items() if count > 1 and name != "<<"]
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return found


def _require_small(text: str) -> None:
    """Raise UsageError where a text would grow beyond the bounds once its aliases are put in."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=_LOADER):
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == name for name, _ in open_nodes):
                raise UsageError(f"the YAML's *{anchor} stands inside what it repeats: it has no end")
            total += sizes.get(str(anchor), 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            total += 1
            open_nodes.append((anchor, total))
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = open_nodes.pop()
            if name is not None:
                sizes[name] = total - before + 1
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if anchor is not None:
                sizes[anchor] = 1
        if total > MAXIMUM_NODES:
            raise UsageError(f"the YAML has more than {MAXIMUM_NODES} values, those that its aliases repeat among them")
        if len(open_nodes) > MAXIMUM_DEPTH:
            raise UsageError(f"the YAML nests deeper than {MAXIMUM_DEPTH} levels")
