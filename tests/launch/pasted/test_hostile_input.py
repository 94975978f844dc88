"""Texts that want to be a load: each is refused in one line, before anything is built from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trtnemo.cli.check import check
from trtnemo.errors import UsageError
from trtnemo.launch.check import check_invocation
from trtnemo.launch.pasted.command import read_command
from trtnemo.launch.pasted.yaml_text import MAXIMUM_NODES, load_yaml

ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &k0 {x: 1}\n" + "".join(
    f"k{number}: &k{number} {{<<: [{','.join([f'*k{number - 1}'] * 9)}]}}\n" for number in range(1, 9)
)
SERVICE = "  s{}:\n    image: vllm/vllm-openai:v0.20.0\n    command: [m{}]\n"
MANY = "services:\n" + "".join(SERVICE.format(number, number) for number in range(200))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALIASES, "its aliases repeat"),
        (MERGES, "its aliases repeat"),
        ("a: " + "[" * 5000 + "]" * 5000, "is not YAML"),
        ("services:\n" + "  s: {image: x}\n" * 40_000, "longer than 262144 bytes"),
        (MANY, r"starts 200 servers \(s0, s1, s2, s3, s4, s5, s6, s7 and 192 more\): which one is meant"),
        (
            "vllm serve m " + " ".join(f"--option-{number} {number}" for number in range(5000)),
            "longer than 65536 bytes",
        ),
        ("(" * 5000 + "vllm serve m" + ")" * 5000, "not valid shell text"),
        ("vllm serve m " + "$(" * 3000 + ")" * 3000, "not valid shell text"),
        ("vllm serve a &\npython -m sglang.launch_server --model-path b\n", "starts 2 servers"),
        ("A=aaaaaaaaaa\n" + 'A="$A$A$A$A"\n' * 14 + "vllm serve m --served-model-name $A", "grow beyond"),
        ("".join(f'X{n + 1}="$X{n}$X{n}$X{n}"\n' for n in range(25)) + "vllm serve $X25", "grow beyond|not evaluated"),
        ("vllm serve a\0b", "control characters"),
        ("services: &s\n  a: *s\n", "it has no end"),
        ("apiVersion: v1\nkind: Pod\nspec: &s {a: [*s]}\n", "it has no end"),
        ("!!python/object/apply:os.system [id]", "not YAML|holds none"),
    ],
)
def test_a_text_that_is_a_load_is_refused_in_one_line(text: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read_command(text)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 600


def test_one_of_two_hundred_services_is_read_by_its_name() -> None:
    assert read_command(MANY, part="s7").model == "m7"
    with pytest.raises(UsageError, match=r"called 's200'.*Known: s0, s1"):
        read_command(MANY, part="s200")


def test_an_option_five_thousand_times_is_read() -> None:
    report = check_invocation(read_command("vllm serve m " + "--port 1 " * 5000, "0.20.0"))
    assert [finding.rule for finding in report.findings] == ["option-twice"]


def test_json_that_nests_without_end_is_a_wrong_value() -> None:
    deep = '{"a":' * 3000 + "1" + "}" * 3000
    report = check_invocation(read_command(f"vllm serve m --speculative-config '{deep}'", "0.20.0"))
    assert [finding.rule for finding in report.findings] == ["option-value"]


def test_variables_that_refer_to_each_other_end() -> None:
    invocation = read_command("A=${B:-$A}\nB=${A:-$B}\nA=$B$A\nvllm serve m --served-model-name $A")
    assert invocation.unset


def test_values_of_yaml_are_counted_once_they_are_repeated() -> None:
    item = "[" + ",".join(["x"] * 99) + "]"
    fits = f"a: &a {item}\nb: [{','.join(['*a'] * 400)}]\n"
    assert len(load_yaml(fits).documents[0]["b"]) == 400
    with pytest.raises(UsageError, match=f"more than {MAXIMUM_NODES} values"):
        load_yaml(fits.replace("b:", f"c: [{','.join(['*a'] * 200)}]\nb:"))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\x7fELF\x02\x01\xff\xfe", "no text in UTF-8"), (b"vllm serve caf\xe9", "no text in UTF-8")],
)
def test_a_binary_file_is_no_text(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    for call, given in (([str(tmp_path / "file")], None), (["-"], content)):
        result = CliRunner().invoke(check, ["--command", *call], input=given)
        assert isinstance(result.exception, UsageError)
        assert words in str(result.exception)


def test_a_path_that_is_not_here_is_said_to_be_none() -> None:
    result = CliRunner().invoke(check, ["--command", "/no/such/compose.yaml"])
    assert "there is no such file" in str(result.exception)
