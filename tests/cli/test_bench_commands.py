"""`trtnemo bench profile`: every op of a step, its time, its bytes and its products."""

from __future__ import annotations

import json

import pytest

from cli.test_commands import trtnemo
from trtnemo.engine import Engine


def test_a_profile_names_every_op_and_what_it_needs(tiny_engine):
    found = json.loads(trtnemo("bench", "profile", str(tiny_engine), "--tokens", "4", "--json").stdout)
    assert found["kernels"] in ("avx512", "avx2", "portable")
    assert found["bandwidth"] > 1e8
    graph = Engine.open(tiny_engine).target
    for phase in ("decode", "prefill"):
        costs = found[phase]
        assert sum(cost["ops"] for cost in costs) == len(graph.nodes)
        assert [cost["seconds"] for cost in costs] == sorted((cost["seconds"] for cost in costs), reverse=True)
        head = next(cost for cost in costs if cost["name"] == "lm_head")
        rows, columns = graph.parameters["lm_head.weight"].shape
        assert head["products"] == rows * columns
    by_name = {cost["name"]: cost for cost in found["decode"]}
    assert by_name["lm_head"]["bytes"] > by_name["lm_head"]["products"] / 2


def test_a_profile_for_people_has_a_line_an_op(tiny_engine):
    text = trtnemo("bench", "profile", str(tiny_engine), "--tokens", "2", "--prompt", "64").stdout
    assert "a decoded token: " in text
    assert "a token of a prompt: " in text
    assert text.count("  lm_head ") == 2


@pytest.mark.parametrize(("setting", "code"), [("cpu.lowering=torch", 6), (None, 5)])
def test_an_engine_that_runs_elsewhere_is_refused(make_engine, tmp_path, setting, code):
    engine = make_engine("mixed", setting) if setting else tmp_path / "nothing"
    result = trtnemo("bench", "profile", str(engine))
    assert result.returncode == code
    assert result.stderr.count("\n") == 1


def test_more_tokens_than_the_context_holds_are_refused_in_a_line(tiny_engine):
    result = trtnemo("bench", "profile", str(tiny_engine), "--tokens", "1000000")
    assert result.returncode == 6
    assert "do not fit a context" in result.stderr
    assert result.stderr.count("\n") == 1
