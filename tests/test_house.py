"""The house itself: sizes, circles, where servers and plugins are named, and pages that say what is there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from scripts.house import pages
from scripts.house.imports import circles, import_map
from scripts.house.sizes import outgrown, sizes
from scripts.house.sources import ROOT, code_words, cpp_files, python_files, read
from tests.support.paths import ROOT as TESTED
from trtnemo.recipe.external import EXTERNAL

MOST_BESIDE, MOST_LINES = 16, 300
MOST_NAMING_A_SERVER, MOST_NAMING_A_PLUGIN = 3, 5
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/op.py"))


def product() -> list[Path]:
    return [path for path in (*python_files(), *cpp_files()) if path.name != "__init__.py"]


def everything() -> list[Path]:
    others = [
        path for folder in ("tests", "scripts", "benchmarks", "training") for path in (ROOT / folder).rglob("*.py")
    ]
    return [*product(), *(path.relative_to(ROOT) for path in others if path.name != "__init__.py")]


def test_no_folder_holds_more_source_files_than_a_reader_takes_in() -> None:
    counted = Counter(path.parent for path in everything())
    assert {str(folder): count for folder, count in counted.items() if count > MOST_BESIDE} == {}


def test_no_source_file_is_long_and_half_are_short() -> None:
    lengths = sorted(len(read(path).splitlines()) for path in product())
    assert lengths[-1] <= MOST_LINES
    assert lengths[len(lengths) // 2] < 100


def test_no_file_of_the_tests_is_too_long() -> None:
    lengths = {path: len(read(path).splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert [path for path, length in lengths.items() if length > MOST_LINES] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == []


@pytest.mark.parametrize("server", sorted(EXTERNAL))
def test_a_server_is_named_in_few_files_outside_its_folder(server: str) -> None:
    outside = [path for path in python_files() if f"servers/{server}/" not in path.as_posix()]
    naming = [path for path in outside if any(server in word.lower() for word in code_words(path))]
    assert len(naming) <= MOST_NAMING_A_SERVER, naming


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_is_named_in_few_files_outside_its_folder(plugin: str) -> None:
    pattern = re.compile(rf"(?<![a-z])({plugin}|{plugin.replace('_', '')})", re.IGNORECASE)
    sources = [*product(), Path("CMakeLists.txt"), Path("pyproject.toml"), Path("trtnemo/_native.pyi")]
    outside = [path for path in sources if path.parts[:2] != ("plugins", plugin)]
    naming = [path for path in outside if pattern.search(read(path))]
    assert len(naming) <= MOST_NAMING_A_PLUGIN, naming


LAYERS = re.findall(r'"(trtnemo\.[\w. |]+)"', read(Path("pyproject.toml")).partition("layers = [")[2].partition("]")[0])


def layer_of(module: str) -> int:
    """Return how deep a module lies in pyproject's layers, 0 being the top."""
    names = [[name.strip() for name in layer.split("|")] for layer in LAYERS]
    return next(depth for depth, layer in enumerate(names) for name in layer if f"{module}.".startswith(f"{name}."))


# a plugin's file -> the layer that reads it: it may import what lies there or below
@pytest.mark.parametrize(
    ("name", "anchor"), [("op", "trtnemo.graph"), ("reference", "trtnemo.graph"), ("tensorrt", "trtnemo.trt")]
)
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugins_file_imports_nothing_above_the_layer_that_uses_it(plugin: str, name: str, anchor: str) -> None:
    imported = import_map()[f"trtnemo.plugins.{plugin}.{name}"]
    others = {module for module in imported if not module.startswith("trtnemo.plugins")}
    assert {module for module in others if layer_of(module) < layer_of(anchor)} == set()


def test_no_package_has_outgrown_its_budget() -> None:
    assert outgrown(sizes()) == []


def test_the_structure_page_names_every_module() -> None:
    text = pages.STRUCTURE.read_text(encoding="utf-8")
    assert text == pages.structure(text), "`make pages` writes it anew"


def test_the_reference_is_made_of_todays_docstrings() -> None:
    assert pages.REFERENCE.read_text(encoding="utf-8") == pages.reference(), "`make pages` writes it anew"


def test_every_module_and_public_name_has_a_docstring() -> None:
    assert re.findall(r"^.*`:\n(?=\s*-|\s*\n|#|\Z)", pages.reference(), re.MULTILINE) == []
    assert ROOT == TESTED


def test_no_test_imports_another() -> None:
    pattern = re.compile(
        r"^\s*(?:from tests import (?!support)|(?:from|import) tests\.(?!support))[\w.]*", re.MULTILINE
    )
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert {str(path.relative_to(ROOT)): found for path in files if (found := pattern.findall(path.read_text()))} == {}
