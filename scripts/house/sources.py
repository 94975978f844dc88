"""The product's sources: Python files of the package and its plugins, and C++ files."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def python_files() -> list[Path]:
    """Return every Python file of the product, relative to the repository; the links in trtnemo/ are not followed."""
    files = [path for folder in ("trtnemo", "plugins") for path in _below(ROOT / folder) if path.suffix == ".py"]
    return sorted(path.relative_to(ROOT) for path in files)


def cpp_files() -> list[Path]:
    """Return every C++ file of the product."""
    files = [path for folder in ("native", "plugins") for path in _below(ROOT / folder)]
    return sorted(path.relative_to(ROOT) for path in files if path.suffix in (".cpp", ".hpp"))


def _below(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink() and entry.name != "__pycache__":
            yield from _below(entry)
        elif entry.is_file():
            yield entry


def read(path: Path) -> str:
    """Return a file's text."""
    return (ROOT / path).read_text(encoding="utf-8")


def module_of(path: Path) -> str:
    """Return a Python file's module: plugins are imported below trtnemo."""
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    return name if name.startswith("trtnemo") else f"trtnemo.{name}"


def code_lines(path: Path) -> int:
    """Return the lines that hold a token of code: no blank line, comment or docstring."""
    if path.suffix != ".py":
        return sum(1 for line in read(path).splitlines() if line.strip() and not line.strip().startswith("//"))
    text = read(path)
    docs = docstring_lines(text)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docs)


def docstring_lines(text: str) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node):
            first = node.body[0]
            lines |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def code_words(path: Path) -> Iterator[str]:
    """Yield every name and text of a Python file that is code, docstrings left out."""
    text = read(path)
    docs = docstring_lines(text)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.STRING) and token.start[0] not in docs:
            yield token.string
