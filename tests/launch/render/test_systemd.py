"""A unit of systemd is taken by systemd, where it is here, and says what the recipe says, whatever its text is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.launch.meaning import EXTERNAL
from tests.support.launch.rendering import rendered
from trtnemo.errors import RecipeError
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.pasted.unit_file import read_unit, unit_words, values
from trtnemo.launch.render.write import render
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe import load_recipe
from trtnemo.recipe.runtimes import ADAPTER

HOSTILE = st.text(alphabet="ab $`\"'\\;&|<>(){}*?~#!%\n\t-=[]/.é", min_size=1, max_size=24)
ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "s": " "}
ANALYZE = shutil.which("systemd-analyze")


def verify(text: str, tmp_path: Path) -> None:
    """Fail where systemd finds anything wrong; do nothing where it is not here."""
    if ANALYZE is None:
        return
    unit = tmp_path / "trtnemo-test.service"
    unit.write_text(text, encoding="utf-8")
    done = subprocess.run([ANALYZE, "verify", "--man=no", unit], capture_output=True, text=True)
    told = [line for line in done.stderr.splitlines() if unit.name in line or str(unit) in line]
    assert (done.returncode, told) == (0, [])


def strict(text: str) -> dict[str, dict[str, list[str]]]:
    """Read a unit as systemd.syntax(7) says, and refuse all that this form never writes."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in text.splitlines():
        assert not line.endswith("\\")
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
            continue
        key, equals, value = line.partition("=")
        assert equals
        assert key.isalpha()
        section.setdefault(key, []).append(value)
    return found


def words_of(text: str) -> list[str]:
    """Split as systemd does: quotes, escapes of C, and no specifier."""
    words, word, quoted, index = [], "", False, 0
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 1
            word += ESCAPES[text[index]]
        elif character == '"':
            quoted = not quoted
        elif character == "%":
            index += 1
            assert text[index] == "%"
            word += "%"
        elif character == " " and not quoted:
            words.append(word)
            word = ""
        else:
            word += character
        index += 1
    assert not quoted
    return [*words, word]


@pytest.mark.parametrize("name", EXTERNAL)
def test_systemd_takes_the_unit_of_every_recipe(name: str, tmp_path: Path) -> None:
    text = rendered("systemd", name)
    verify(text, tmp_path)
    unit, recipe = strict(text), load_recipe(name)
    service = {key: value for key, (value, *_) in unit["Service"].items()}
    assert words_of(service["ExecStart"])[1:] == ["-m", "trtnemo", "serve", "--recipe", name, "--restart", "on-failure"]
    drain = find_server(recipe.runtime).watch.drain_seconds
    assert service["TimeoutStopSec"] == str(int(drain + 30))
    assert (service["Type"], service["NotifyAccess"], service["TimeoutStartSec"]) == ("notify", "main", "infinity")
    assert (service["Restart"], service["RestartPreventExitStatus"], service["KillMode"]) == (
        "on-failure",
        "2 3 4 5 6 7",
        "mixed",
    )
    assert service["EnvironmentFile"] == f"-/etc/trtnemo/{name}.env"
    assert unit["Install"] == {"WantedBy": ["multi-user.target"]}
    assert unit["Unit"]["After"] == unit["Unit"]["Wants"] == ["network-online.target"]


@pytest.mark.parametrize("name", EXTERNAL)
def test_our_own_reader_of_units_reads_the_command(name: str) -> None:
    words, unknown = unit_words(values(read_unit(rendered("systemd", name)), "Service", "ExecStart")[0], {})
    assert words == [sys.executable, "-m", "trtnemo", "serve", "--recipe", name, "--restart", "on-failure"]
    assert unknown == []


def hostile(value: Any) -> Any:
    data = load_recipe("vllm-b200").model_dump(mode="json", exclude_unset=True)
    data["vllm"]["env"] = {"PLAIN": value, "HF_TOKEN": None}
    return ADAPTER.validate_python(data)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=HOSTILE, value=HOSTILE)
def test_a_hostile_name_and_value_stay_text(name: str, value: str, tmp_path: Path) -> None:
    recipe = hostile(value)
    text = render("systemd", name, recipe, to_invocation(recipe))
    unit = strict(text)
    assert list(unit) == ["Unit", "Service", "Install"]
    assert len(unit["Service"]["ExecStart"]) == 1
    assert [words_of(line) for line in unit["Service"]["Environment"]] == [
        [f"PLAIN={value}"],
        ["XDG_STATE_HOME=/var/lib/trtnemo"],
    ]
    place = words_of(unit["Service"]["ExecStart"][0])[5]
    assert place.startswith("/etc/trtnemo/")
    assert f"put its file at {place}\n" in text
    assert unit["Service"]["EnvironmentFile"] == [f"-{place.removesuffix('.yaml')}.env"]
    assert "HF_TOKEN=" not in text
    assert "# HF_TOKEN is not written here" in text


@pytest.mark.parametrize(
    "text", ["50% of $HOME ${A} \"b\" 'c' \\d\n[Service]\nExecStart=/bin/x\t;", "%n%%$$", "é ; \\"]
)
def test_systemd_takes_hostile_text_and_means_the_same(text: str, tmp_path: Path) -> None:
    recipe = hostile(text)
    unit = render("systemd", text, recipe, to_invocation(recipe))
    verify(unit, tmp_path)
    assert [words_of(line) for line in strict(unit)["Service"]["Environment"]] == [
        [f"PLAIN={text}"],
        ["XDG_STATE_HOME=/var/lib/trtnemo"],
    ]


def test_a_dollar_in_the_path_of_this_installation_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/a $b%c/python")
    (line,) = strict(rendered("systemd"))["Service"]["ExecStart"]
    assert line.startswith('"/opt/a $$b%%c/python" -m trtnemo ')
    assert unit_words(line, {})[0][0] == "/opt/a $b%c/python"


def test_a_value_that_no_unit_may_hold_is_refused() -> None:
    recipe = hostile("a\x07b")
    with pytest.raises(RecipeError, match="the variable PLAIN: has a control character"):
        render("systemd", "x", recipe, to_invocation(recipe))


def test_a_shipped_recipe_that_was_changed_is_not_started_by_its_name() -> None:
    changed = rendered("systemd", "vllm-b200", ["server.port=9"])
    assert "--recipe /etc/trtnemo/vllm-b200.yaml " in changed
    assert "put its file at" not in rendered("systemd", "vllm-b200")
