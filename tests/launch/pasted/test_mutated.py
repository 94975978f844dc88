"""Published texts with pieces cut out, doubled, moved and put in: each is read or refused, and nothing else happens."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.launch.corpus import ENTRIES, filled
from trtnemo.errors import TrtnemoError
from trtnemo.launch.check import check_invocation, report_json
from trtnemo.launch.pasted.command import read_command
from trtnemo.launch.pasted.to_recipe import recipe_text

TEXTS = [filled(entry["text"]) for _, entry in ENTRIES]
# what shells, YAML, Compose and unit files give a meaning to, and what word processors and terminals put in
MARKS = "\\\n,\\ \n,\n, ,\t,',\",`,$(,${,},$$,&&,|,;,#,<<EOF\n,EOF\n,--,-,=,:,: ,- ,[,],{,{{,}},&a ,*a,<<: *a"
UNUSUAL = "%,@,---\n,null,!!python/object:x ,\x00,\x1b[0m,\u00a0,\u2013,\u201c,\ud7ff,\ufeff,\u200b,\r\n,1e999"
PIECES = st.one_of(st.sampled_from(f"{MARKS},{UNUSUAL}".split(",")), st.text(max_size=8))


@st.composite
def mutated(draw: Any) -> Any:
    """Return one of the texts after one to four changes."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["cut", "double", "put in", "move"]))
        piece = text[start:end]
        if kind == "cut":
            text = text[:start] + text[end:]
        elif kind == "double":
            text = text[:end] + piece + text[end:]
        elif kind == "put in":
            text = text[:start] + draw(PIECES) + text[start:]
        else:
            rest = text[:start] + text[end:]
            place = draw(st.integers(0, len(rest)))
            text = rest[:place] + piece + rest[place:]
    return text


def judge(text: Any) -> Any:
    """Check a text and turn it into a recipe; a refusal is one line."""
    try:
        invocation = read_command(text)
        report = check_invocation(invocation, "10.0")
    except TrtnemoError as error:
        assert len(str(error).splitlines()) == 1, text
        return
    assert report_json(report)["passed"] == report.passed
    assert all(finding.rule and finding.message and finding.subject for finding in report.findings), text
    try:
        imported = yaml.safe_load(recipe_text(invocation, "fuzzed"))
    except TrtnemoError as error:
        assert len(str(error).splitlines()) == 1, text
    else:
        assert imported["runtime"] == invocation.server


def leave_word(tmp_path_factory: Any, text: Any) -> None:
    """Write down what is read next: a parser in native code that ends the process leaves no other trace of it."""
    (tmp_path_factory.getbasetemp() / "last-mutated-text").write_bytes(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_a_mutated_text_is_read_or_refused(tmp_path_factory: Any, text: Any) -> None:
    leave_word(tmp_path_factory, text)
    judge(text)


@pytest.mark.long
@settings(max_examples=20_000, deadline=None)
@given(mutated())
def test_twenty_thousand_mutated_texts_are_read_or_refused(tmp_path_factory: Any, text: Any) -> None:
    leave_word(tmp_path_factory, text)
    judge(text)
