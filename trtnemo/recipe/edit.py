"""The text of a recipe, changed in place: everything else, comments among it, stays as it is written."""

from __future__ import annotations

import yaml

from trtnemo.errors import RecipeError

KeyPath = tuple[str, ...]


class RecipeText:
    """A recipe's YAML with changes made to single values and keys."""

    def __init__(self, text: str) -> None:
        self.text = text

    def put(self, path: KeyPath, value: str) -> None:
        """Write a scalar in place of another, or as a new key at the beginning of its section; raises RecipeError."""
        parent, key = self._find(path)
        if key is None:
            first = parent.value[0][0].start_mark
            separator = ", " if parent.flow_style else "\n" + " " * first.column
            self._replace(first.index, first.index, f"{path[-1]}: {value}{separator}")
            return
        node = parent.value[key][1]
        self._replace(node.start_mark.index, node.end_mark.index, value)

    def take_out(self, path: KeyPath, reason: str) -> None:
        """Turn a key into a comment with its reason, or cut it out of a section that stands in one line."""
        parent, place = self._find(path)
        if place is None:
            raise RecipeError(f"'{'.'.join(path)}' is not in the text", where="the recipe")
        key, value = parent.value[place]
        if not parent.flow_style and len(parent.value) > 1:
            self._comment(key.start_mark, value.end_mark, reason)
        elif place + 1 < len(parent.value):
            self._replace(key.start_mark.index, parent.value[place + 1][0].start_mark.index, "")
        else:
            start = parent.value[place - 1][1].end_mark.index if place else key.start_mark.index
            end = value.end_mark.index
            self._replace(start, end, "" if parent.flow_style or place else f"{{}} # {reason}")

    def _comment(self, start: yaml.Mark, end: yaml.Mark, reason: str) -> None:
        begin = self.text.rfind("\n", 0, start.index) + 1
        last = len(self.text[: end.index].rstrip())
        stop = self.text.find("\n", last)
        stop = len(self.text) if stop < 0 else stop
        lines = self.text[begin:stop].split("\n")
        indent = " " * start.column
        commented = [f"{indent}# {line[start.column :]}" for line in lines]
        self.text = self.text[:begin] + "\n".join([f"{indent}# {reason}:", *commented]) + self.text[stop:]

    def _find(self, path: KeyPath) -> tuple[yaml.MappingNode, int | None]:
        """Return the section of a key and the key's place in it, or None where it has not the key."""
        node = yaml.compose(self.text, Loader=yaml.SafeLoader)
        for name in path[:-1]:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            node = next((value for key, value in pairs if key.value == name), None)
        if not isinstance(node, yaml.MappingNode):
            raise RecipeError(f"has no section '{'.'.join(path[:-1])}'", where="the recipe")
        place = next((number for number, (key, _) in enumerate(node.value) if key.value == path[-1]), None)
        return node, place

    def _replace(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]
