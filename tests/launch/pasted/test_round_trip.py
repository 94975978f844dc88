"""Every option of every record, by each of its names: pasted, imported, and rendered it means what it meant."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest
import yaml

from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.options.arguments import ParsedArguments, parse_arguments
from trtnemo.launch.pasted.command import read_command
from trtnemo.launch.pasted.to_recipe import recipe_text
from trtnemo.launch.render.words import here, server_words
from trtnemo.launch.servers.registry import all_servers
from trtnemo.launch.servers.surface import SECRET_OPTIONS, Option, Surface, load_surface, recorded_versions
from trtnemo.recipe.load import validate
from trtnemo.recipe.source import RecipeSource

VERSIONS = [(name, version) for name in all_servers() for version in recorded_versions(name)]
VALUES = {
    "int": "3",
    "float": "0.5",
    "json": '{"a": {"b": [1, "c d"]}}',
    "json_list_type": "[1, 2]",
    "human_readable_int": "2k",
    "human_readable_int_or_auto": "auto",
}
# --tool-call-parser alone does nothing in vLLM: a recipe that names a tool parser has it used
MEANS_MORE = {"--tool-call-parser": {"--enable-auto-tool-choice": True}}


def value_of(surface: Surface, option: Option) -> str:
    """Return a value that the option takes."""
    if option.choices:
        return str(next((choice for choice in option.choices if choice not in (None, "None")), "auto"))
    fields = surface.nested.get(option.name)
    if fields:
        key, field = next(iter(fields.items()))
        return json.dumps({key: next(iter(field.get("allowed") or ["word"]))})
    return VALUES.get(option.type.removeprefix("optional "), "word's end")


def lines(surface: Surface) -> Iterator[list[str]]:
    """Yield each name of each option with values that it takes; the model and the YAML file are read otherwise."""
    names = {all_servers()[surface.server].file_option, surface.dialect.model_option, "--model"}
    for option in surface.options:
        if option.positional or option.name in SECRET_OPTIONS or names & set(option.names):
            continue
        values = [value_of(surface, option)] if option.takes_value else []
        for name in option.names:
            yield [name, *(values * (option.count or 2) if option.kind == "list" else values)]


def read(surface: Surface, words: list[str]) -> ParsedArguments:
    """Return what the server makes of a whole command."""
    server = all_servers()[surface.server]
    for place in range(len(words)):
        if (after := server.words_after_start(words[place:])) is not None:
            return parse_arguments(surface, after)
    raise AssertionError(words)


@pytest.mark.parametrize(("server", "version"), VERSIONS)
def test_an_option_means_the_same_after_import_and_rendering(server: str, version: str) -> None:
    surface, dialect = load_surface(server, version), load_surface(server, version).dialect
    model = [dialect.model_option, "m"] if dialect.model_option else ["m"]
    count = 0
    for words in lines(surface):
        pasted = [*dialect.words, *model, *words]
        text = recipe_text(read_command(shlex.join(pasted), version), "round trip")
        rendered = server_words(to_invocation(validate(RecipeSource("x", yaml.safe_load(text)))), here)
        before, after = read(surface, pasted), read(surface, rendered)
        more = MEANS_MORE.get(next(iter(before.values)), {}) if server == "vllm" else {}
        assert after.values == {**before.values, **more}, words
        assert after.positional == before.positional
        count += 1
    assert count > 0.95 * sum(len(option.names) for option in surface.options) - 5
