"""Redirections of a shell line, separated from its words."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTED = r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\""""
_PIECE = re.compile(
    rf"(?P<quoted>{_QUOTED})"
    # a placeholder such as <model> is a word that somebody has yet to fill in
    r"|(?P<placeholder><[\w./-]+(?: [\w./-]+)*>)"
    r"|(?P<substitution>[<>]\()"
    r"|<<-?\s*(?P<mark>['\"]?)(?P<end>\w+)(?P=mark)"
    r"|(?:(?<![^\s;&|])\d+|&)?(?:<<<|>>|>\||<>|[<>])"
    rf"(?:&(?:\d+-?|-)|&?\s*(?P<target>(?:{_QUOTED}|[^\s;&|<>'\"\\])+))",
    re.DOTALL,
)


@dataclass(frozen=True)
class Document:
    """A here-document: the word that ends it, and whether the shell leaves its text alone."""

    end: str
    is_verbatim: bool


def take_redirections(line: str) -> tuple[str, list[str], list[Document]]:
    """Return a line without its redirections, the files that it writes, and its here-documents, in order."""
    targets, documents = [], []

    def kept(match: re.Match[str]) -> str:
        if match["quoted"] or match["placeholder"] or match["substitution"]:
            return match[0]
        if match["end"]:
            documents.append(Document(match["end"], bool(match["mark"])))
        elif match["target"] and ">" in match[0]:
            targets.append(match["target"])
        return " "

    return _PIECE.sub(kept, line), targets, documents
