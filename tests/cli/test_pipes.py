"""Whoever reads our output may leave when it has seen enough: that is no failure, and nothing is said of it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import click
import pytest

from trtnemo.cli.group import run


def start(arguments: list[str], out: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trtnemo", *arguments]
    # unbuffered, Python takes a write that a pipe took half of for a whole one
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    "words",
    ["recipes schema", "recipes list", "plan --list-hardware", "plan --list-hardware --json", "--help", "plan -h"],
)
def test_a_reader_that_is_gone_before_the_first_word_is_no_failure(words: str) -> None:
    """As `| true`, which a fast command may outrun: here the pipe has no reader from the start."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start(words.split(), writer)
    os.close(writer)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")


@pytest.mark.parametrize("size", [4096, 1 << 20])
def test_a_reader_that_leaves_after_a_line_is_no_failure(size: int) -> None:
    """Of a pipe that holds less than the output, so that it breaks in the middle, and of one that holds all."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, size)
    process = start(["recipes", "schema"], writer)
    os.close(writer)
    assert os.read(reader, 2) == b"{\n"
    os.close(reader)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")


def test_a_command_that_exits_by_itself_keeps_its_code() -> None:
    @click.group()
    def group() -> None:
        """Hold commands."""

    @group.command()
    def leave() -> None:
        """Exit."""
        sys.exit(3)

    @group.command()
    def whole() -> None:
        """Write."""
        click.echo("said")

    with pytest.raises(SystemExit, match="3"):
        run(group, ["leave"])
    assert run(group, ["whole"]) == 0
    assert run(group, ["none"]) == 2
