"""Recipe keys that had another name in the last release: the old name is read for one release, with a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.errors import RecipeError

# old key path: new name of its last part
RENAMED: dict[tuple[str, str], str] = {("tensorrt", "products"): "matmul_dtype"}


def find_renamed(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield section, old and new name of every renamed key in a recipe; raises RecipeError where both are given."""
    for (section, old), new in RENAMED.items():
        keys = data.get(section)
        if not isinstance(keys, dict) or old not in keys:
            continue
        if new in keys:
            raise RecipeError(
                f"'{section}.{old}' is the old name of '{section}.{new}', and both are given",
                remedy=f"Remove '{section}.{old}'",
            )
        yield section, old, new


def with_new_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe under the names of today; raises RecipeError where a key is given under both names."""
    renamed = dict(data)
    for section, old, new in find_renamed(data):
        renamed[section] = {new if key == old else key: value for key, value in renamed[section].items()}
    return renamed
