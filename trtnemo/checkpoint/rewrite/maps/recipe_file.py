"""A recipe file of ModelOpt and the files that it imports: the rules of `quant_cfg`, one after the other.

Source: the recipes and units that nvidia-modelopt 0.47.0 ships (modelopt_recipes). A unit is one rule, a list of rules,
or numerics; a document in front of it may import others.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.rewrite.maps.yaml_file import read_documents
from trtnemo.errors import UsageError

_IMPORT = "$import"
_DEEPEST = 8


class RecipeFile:
    """The content of a file, and what it imports by name."""

    def __init__(self, path: Path, depth: int = 0) -> None:
        if depth > _DEEPEST:
            raise UsageError(f"imports more than {_DEEPEST} files deep", where=str(path))
        self.path = path
        self._depth = depth
        documents = read_documents(path)
        heads = [document for document in documents if isinstance(document, dict)]
        self._imports: dict[str, Any] = {}
        for head in heads:
            found = head.get("imports")
            self._imports |= found if isinstance(found, dict) else {}
        self.content: Any = documents[-1] if documents else None

    def rules(self) -> Iterator[dict[str, Any]]:
        """Yield every rule with what it imports in its place; raises UsageError."""
        content = self.content
        if isinstance(content, dict):
            inner = content.get("quantize", content)
            content = inner.get("quant_cfg", [content]) if isinstance(inner, dict) else None
        if not isinstance(content, list):
            raise UsageError("has no list of rules (quantize: quant_cfg)", where=str(self.path))
        for entry in content:
            if not isinstance(entry, dict):
                raise UsageError(f"{entry!r} is no rule", where=str(self.path))
            if _IMPORT in entry:
                yield from self._imported(entry[_IMPORT]).rules()
            elif "quantizer_name" in entry:
                yield {**entry, "cfg": self._numerics(entry.get("cfg"))}
            else:
                raise UsageError("an entry of quant_cfg has no quantizer_name", where=str(self.path))

    @property
    def algorithm(self) -> dict[str, Any]:
        """The calibration, as the file names it: its `method`, and what else is said of it."""
        content = self.content if isinstance(self.content, dict) else {}
        inner = content.get("quantize", content)
        found = inner.get("algorithm") if isinstance(inner, dict) else None
        return found if isinstance(found, dict) else {"method": found}

    def _numerics(self, found: Any) -> Any:
        return self._imported(found[_IMPORT]).content if isinstance(found, dict) and _IMPORT in found else found

    def _imported(self, name: Any) -> RecipeFile:
        place = self._imports.get(name) if isinstance(name, str) else None
        if not isinstance(place, str) or ".." in place or place.startswith("/"):
            raise UsageError(f"imports {name!r}, which it names no file for", where=str(self.path))
        for root in _roots(self.path):
            file = root / f"{place}.yaml"
            if file.is_file():
                return RecipeFile(file, self._depth + 1)
        raise UsageError(
            f"imports {place}, which is not beside it",
            where=str(self.path),
            remedy="Keep the file in its folder of recipes, or install ModelOpt: pip install 'trtnemo[modelopt]'",
        )


def _roots(path: Path) -> Iterator[Path]:
    yield from path.resolve().parents
    spec = find_spec("modelopt_recipes")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent
