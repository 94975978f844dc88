"""Paths that no shell read, as people write them: what would become a file of a strange name is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo_here
from trtnemo.errors import UsageError
from trtnemo.files.path_word import local_path, require_path

# what people wrote, and where
REFUSED = {
    "file:///mnt/weka/cache/": "begins with 'file:/'",  # LMCache issue 437
    "file:/myfile/disk_data": "begins with 'file:/'",  # LMCache issue 1788: one slash
    "redis://localhost:6379": "begins with 'redis:/'",  # LMCache: remote_url, beside local_disk
    "C:\\cache": "begins with 'C:\\\\'",  # ggml-org/llama.cpp issue 18037: a recipe of Windows
    "$CACHE_DIRECTORY/states": "a variable that no shell replaced",  # travis-ci issue 2153
    "${HOME}/.cache": "a variable that no shell replaced",  # JonathonReinhart/scuba pull 192
    "/pods/$(POD_NAME)": "a variable that no shell replaced",  # Kubernetes, of a name that it does not know
    "/data/{{ .Values.dir }}": "a variable that no shell replaced",  # a Helm chart that was not rendered
    "": "names nothing",  # unslothai/unsloth pull 5081: a variable that is empty
    "  ": "names nothing",
    " /data/states ": "spaces or quotes around it",  # the same, with spaces
    "/data/states\n": "spaces or quotes around it",  # a Secret that was made by `echo`
    '"/data/states"': "spaces or quotes around it",  # docker --env-file keeps quotes
    "/data/a\0b": "a zero byte",
    "/data/\udcff": "not UTF-8",
}


@pytest.mark.parametrize("text", REFUSED)
def test_word_that_is_no_path_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(REFUSED[text])):
        require_path(text)


@pytest.mark.parametrize("text", ["states", "../states/", "/a b/c", "/mnt/x:/y", "/données", "~/states", "/a$/b", "@x"])
def test_every_other_word_is_a_path_as_it_is_written(text: str) -> None:
    assert require_path(text) == text


def test_home_is_meant_where_no_shell_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # earthly issue 1789, brikis98/docker-osx-dev issue 42 and others: a directory named ~
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/states") == tmp_path / "states"
    assert local_path("a/~/b") == Path("a/~/b")
    with pytest.raises(UsageError, match=r"~nobody-of-this-name/x: the home directory is not known"):
        local_path("~nobody-of-this-name/x")


@pytest.mark.parametrize("key", ["prefix_dir", "api_key_file", "unix_socket", "tls_certificate", "tls_key"])
@pytest.mark.parametrize("word", ["file:///x", "$STATES", ""])
def test_every_path_of_a_servers_section_is_read_so(key: str, word: str) -> None:
    told = trtnemo_here("check", "--recipe", "tiny", "--set", f"server.{key}='{word}'")
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (3, "", 1)
    assert f"'server.{key}' " in told.stderr


def test_option_is_read_so_before_anything_is_built(tmp_path: Path) -> None:
    words: list[tuple[Any, ...]] = [("serve", "--engine", "none"), ("run", "tiny", "--dry-run")]
    for command in words:
        for word in ("", "file:///x", "/data/\udcff"):
            told = trtnemo_here(*command, "--prefix-dir", word, cwd=tmp_path)
            assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
            assert "--prefix-dir " in told.stderr
    assert list(tmp_path.iterdir()) == []
