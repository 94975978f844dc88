"""Pages that are made of docstrings: the list of modules in docs/structure.md, and docs/reference.md.

usage: python -m scripts.house.pages
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from scripts.house.sources import ROOT, cpp_files, python_files, read

STRUCTURE, REFERENCE = ROOT / "docs" / "structure.md", ROOT / "docs" / "reference.md"
MARK = "<!-- made of docstrings by `make pages`; what stands below is not edited by hand -->\n"
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def first_sentence(node: _Documented) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())


def item(name: str, about: str, indent: str = "") -> str:
    """Return an item of a list, its lines within 116 columns."""
    more = f"{indent}  "
    text = f"{indent}- `{name}`: {about}"
    return textwrap.fill(text, 116, subsequent_indent=more, break_long_words=False, break_on_hyphens=False) + "\n"


def paragraph(text: str) -> str:
    """Return a text in lines within 116 columns."""
    return textwrap.fill(text, 116, break_long_words=False, break_on_hyphens=False)


def module_list() -> str:
    """Return a section per folder with a line per file."""
    files = [path for path in (*python_files(), *cpp_files()) if path.name != "__init__.py"]
    sections = []
    for folder, group in groupby(sorted(files, key=lambda path: (str(path.parent), path.name)), key=lambda p: p.parent):
        package = folder / "__init__.py"
        title = first_sentence(ast.parse(read(package))) if (ROOT / package).is_file() else ""
        lines = "".join(item(path.name, _about(path)) for path in group)
        sections.append(f"### {folder}/\n\n{paragraph(title)}\n\n{lines}" if title else f"### {folder}/\n\n{lines}")
    return "\n".join(sections)


def _about(path: Path) -> str:
    if path.suffix == ".py":
        return first_sentence(ast.parse(read(path)))
    first = read(path).splitlines()[0]
    return first.removeprefix("// ") if first.startswith("// ") else f"see {path.stem}.hpp"


def reference() -> str:
    """Return every public class and function of the package with its first sentence."""
    parts = ["# Reference\n\nEvery public class and function, with the first sentence of its docstring.\n"]
    for path in python_files():
        tree = ast.parse(read(path))
        entries = list(_entries(tree))
        if entries:
            parts.append(f"\n## {path}\n\n{paragraph(first_sentence(tree))}\n\n" + "".join(entries))
    return MARK + "".join(parts)


def _entries(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            arguments = "" if isinstance(node, ast.ClassDef) else f"({', '.join(_names(node.args))})"
            yield item(f"{node.name}{arguments}", first_sentence(node))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inner.name.startswith("_"):
                    yield item(inner.name, first_sentence(inner), "  ")


def _names(arguments: ast.arguments) -> list[str]:
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args)]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else ["*"] if arguments.kwonlyargs else []
    names += [item.arg for item in arguments.kwonlyargs]
    return names + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def structure(text: str) -> str:
    """Return docs/structure.md with the list of modules of today's sources."""
    return f"{text.partition(MARK)[0]}{MARK}\n{module_list()}"


def main() -> None:
    """Write both pages."""
    STRUCTURE.write_text(structure(STRUCTURE.read_text(encoding="utf-8")), encoding="utf-8")
    REFERENCE.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
