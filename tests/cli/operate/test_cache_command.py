"""What strangers bring to `trtnemo cache`: names in another form, halves, links, engines in use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import run_command
from tests.support.hub.process import NAME
from trtnemo.checkpoint import Checkpoint


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A checkpoint of the family in the hub's cache of `tmp_path`, as the hub lays it out."""
    place = tmp_path / "hf" / "hub" / "models--owner--model"
    (place / "blobs").mkdir(parents=True)
    snapshot = place / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for file in Checkpoint.open("tiny").directory.iterdir():
        (place / "blobs" / file.name).write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(Path("..") / ".." / "blobs" / file.name)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    return place


def listed(home: Path, **environment: str) -> list[dict[str, Any]]:
    done = run_command(home, "cache", "list", "--json", **environment)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.parametrize("name", ["owner/model", "OWNER/Model", "owner/model/", " owner/model"])
def test_name_in_another_form_is_found(tmp_path: Path, cached: Path, name: str) -> None:
    # ollama/ollama issues 336, 6783 and 18447: names in another case exist for one command and not for the other
    assert listed(tmp_path)[0]["name"] == "owner/model"
    done = run_command(tmp_path, "cache", "remove", name, "--yes")
    assert (done.returncode, "removed owner/model" in done.stdout, cached.exists()) == (0, True, False), done.stderr


def test_name_that_nothing_has_gets_the_nearest(tmp_path: Path, cached: Path) -> None:
    # ollama/ollama issue 15061: a name with another dash than the listed one
    done = run_command(tmp_path, "cache", "remove", "owner/modell", "--yes")
    assert (done.returncode, "did you mean 'owner/model'?" in done.stderr, cached.exists()) == (2, True, True)


def test_download_that_was_cut_is_listed_with_its_bytes_and_removed(hub: Any, tmp_path: Path) -> None:
    # huggingface/huggingface_hub issues 4412, 4419 and 4420: halves that take room and are not listed
    served = hub(Checkpoint.open("tiny").directory, "--cut", "300000")
    home = {"XDG_CACHE_HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    assert served.run("run", NAME, "hi", **home).returncode == 4
    (row,) = listed(tmp_path)
    assert (row["name"], row["partial"], row["bytes"] > 1_000_000) == (NAME, True, True)
    assert "not whole" in run_command(tmp_path, "cache", "list").stdout
    assert run_command(tmp_path, "cache", "remove", NAME, "--yes").returncode == 0
    assert list((tmp_path / "hf" / "hub").glob("models--*")) == []
    assert listed(tmp_path) == []


def test_link_whose_file_is_gone_hides_nothing(tmp_path: Path, cached: Path) -> None:
    # huggingface/huggingface_hub issue 4419: one broken link, and the whole repository was not listed
    (cached / "blobs" / "model.safetensors").unlink()
    (row,) = listed(tmp_path)
    assert (row["name"], row["partial"]) == ("owner/model", True)
    assert run_command(tmp_path, "cache", "remove", "owner/model", "--yes").returncode == 0
    assert not cached.exists()


def test_cache_behind_a_link_is_the_same_cache(tmp_path: Path, cached: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "hf")
    assert [row["name"] for row in listed(tmp_path, HF_HOME=str(link))] == ["owner/model"]


def test_checkpoint_that_lies_behind_a_link_is_removed_with_what_it_names(tmp_path: Path, cached: Path) -> None:
    # huggingface/huggingface_hub issue 1882: models that were moved to another disk
    disk = tmp_path / "disk"
    cached.rename(disk)
    cached.symlink_to(disk)
    (row,) = listed(tmp_path)
    assert (row["partial"], row["bytes"] > 1_000_000) == (False, True)
    assert run_command(tmp_path, "cache", "remove", "owner/model", "--yes").returncode == 0
    assert not disk.exists()
    assert not cached.is_symlink()


def test_other_families_are_left_alone(tmp_path: Path, cached: Path) -> None:
    (cached / "blobs" / "config.json").write_text('{"model_type": "llama"}')
    assert listed(tmp_path) == []


def test_cache_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_command(tmp_path, "cache", "list", HF_HUB_CACHE=str(tmp_path / "file"))
    assert (done.returncode, "Set HF_HUB_CACHE" in done.stderr, "Traceback" in done.stderr) == (4, True, False)


def test_empty_list_says_where_it_looked(tmp_path: Path) -> None:
    # mzau/mlx-knife pull 12: HF_HOME taken for the cache itself, and a list that was empty without a word
    done = run_command(tmp_path, "cache", "list", HF_HOME=str(tmp_path / "elsewhere"))
    assert str(tmp_path / "elsewhere" / "hub") in done.stdout


def test_engine_in_use_is_removed_with_a_word_on_who_uses_it(tmp_path: Path) -> None:
    # ollama/ollama issues 6957 and 8671: models that were removed and still ran, unsaid
    engine = tmp_path / "trtnemo" / "engines" / "model-abc"
    engine.mkdir(parents=True)
    (engine / "weights").write_bytes(bytes(4096))
    program = (
        "import mmap, sys\n"
        "file = open(sys.argv[1], 'rb')\n"
        "held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "print(1, flush=True)\n"
        "input()"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(engine / "weights")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as user:  # fmt: skip
        assert user.stdout is not None
        user.stdout.readline()
        done = run_command(tmp_path, "cache", "remove", "MODEL-ABC", "--yes")
        user.communicate("\n")
    assert (done.returncode, f"is used by process {user.pid}" in done.stderr) == (0, True), done.stderr
    assert not engine.exists()
