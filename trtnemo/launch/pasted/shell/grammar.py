"""The syntax tree of a shell text."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


@functools.cache
def _parser() -> Parser:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def parse(source: bytes) -> Node:
    """Return the root of a text's syntax tree; what is no shell text becomes nodes of type ERROR in it."""
    return _parser().parse(source).root_node


def faults(root: Node) -> Iterator[Node]:
    """Yield the nodes that are no shell text, outermost first, in the order of the text."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type == "ERROR" or node.is_missing:
            yield node
        elif node.has_error:
            waiting += reversed(node.children)
