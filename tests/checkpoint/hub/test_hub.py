"""A hub id is audited by range requests, and fetched with its revision pinned: a real hub client, a real server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.damage import shard
from tests.support.checkpoints.damaged_files import KINDS
from tests.support.checkpoints.phantom import write_phantom
from tests.support.hub.hub import COMMIT
from tests.support.hub.process import NAME
from trtnemo.checkpoint.fetch import require_disk
from trtnemo.checkpoint.hub.client import HubListing
from trtnemo.checkpoint.hub.download import require_etag
from trtnemo.errors import CheckpointError, MachineError


def weights_sent(answers: Any) -> Any:
    return sum(
        answer["sent"] for answer in answers if ".safetensors" in answer["path"] and "index" not in answer["path"]
    )


def test_a_hub_id_is_audited_without_its_weights(hub: Any, copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("mixed")
    shard(directory, 3)
    served = hub(directory)
    result = served.run("check", NAME, "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["passed"], report["directory"]) == (0, True, f"{NAME}@{COMMIT}")
    local = json.loads(served.run("check", directory, "--headers-only", "--json").stdout)
    assert {key: report[key] for key in ("tensors", "bytes", "formats")} == {
        key: local[key] for key in ("tensors", "bytes", "formats")
    }
    answers = served.stop()
    headers = sum(8 + int.from_bytes(path.read_bytes()[:8], "little") for path in directory.glob("*.safetensors"))
    first = 3 * (256 << 10)
    assert all(answer["range"] for answer in answers if answer["path"].endswith(".safetensors"))
    assert weights_sent(answers) <= headers + first < sum(p.stat().st_size for p in directory.glob("*.safetensors"))


def test_damage_is_found_from_afar(hub: Any, copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    KINDS["expert_lacks_weight_scale_2"][2](directory)
    result = hub(directory).run("check", NAME)
    assert result.returncode == 1
    assert "expert 3 of layer 1 lacks up_proj.weight_scale_2 [tensor-missing]" in result.stdout


def test_a_header_longer_than_the_first_request_is_read_whole(hub: Any, tmp_path: Path) -> None:
    """The phantom's headers are megabytes; two requests bring each."""
    write_phantom(tmp_path / "p", "bf16", shards=2)
    served = hub(tmp_path / "p")
    report = json.loads(served.run("check", NAME, "--json").stdout)
    assert (report["tensors"], report["bytes"]) == (42_683, 247_222_108_160)
    assert weights_sent(served.stop()) < 20 << 20


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--no-ranges"], "answers without ranges"),
        (["--cut", "1000"], "connection"),
        (["--lie"], "more than it announced"),
        (["--shift", "8"], "the hub answers bytes 8-"),
        (["--token", "secret"], "is gated"),
    ],
)
def test_a_hub_that_does_not_answer_as_it_should_is_refused_in_one_line(
    hub: Any, make_checkpoint: Any, flags: list[Any], message: str
) -> None:
    result = hub(make_checkpoint("mixed"), *flags).run("check", NAME)
    assert (result.returncode, result.stderr.count("\n")) == (4, 1)
    assert message in result.stderr


def test_a_token_is_sent_and_never_told(hub: Any, make_checkpoint: Any) -> None:
    result = hub(make_checkpoint("mixed"), "--token", "secret").run("check", NAME, HF_TOKEN="secret")  # noqa: S106
    assert result.returncode == 0
    assert "secret" not in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["owner/other", "nobody/model"])
def test_an_unknown_id_is_refused(hub: Any, make_checkpoint: Any, name: str) -> None:
    result = hub(make_checkpoint("mixed")).run("check", name)
    assert (result.returncode, result.stderr.count("\n")) == (4, 1)


def test_offline_says_so(hub: Any, make_checkpoint: Any) -> None:
    result = hub(make_checkpoint("mixed")).run("check", NAME, HF_HUB_OFFLINE="1")
    assert result.returncode == 4
    assert "offline" in result.stderr


def test_small_files_in_the_cache_are_no_checkpoint(hub: Any, make_checkpoint: Any) -> None:
    """A check leaves json files in the cache: offline they must not pass for one whose shards are missing."""
    served = hub(make_checkpoint("mixed"))
    assert served.run("check", NAME).returncode == 0
    result = served.run("check", NAME, HF_HUB_OFFLINE="1")
    assert (result.returncode, "not in this machine's cache" in result.stderr) == (4, True)


def test_a_header_of_more_than_a_hundred_megabytes_is_not_fetched(hub: Any, copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    with (directory / "model.safetensors").open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)
    served = hub(directory)
    result = served.run("check", NAME)
    assert (result.returncode, "claims a header" in result.stderr) == (4, True)
    assert weights_sent(served.stop()) <= 256 << 10


def test_fetch_pins_the_commit_and_audits_every_scale(hub: Any, make_checkpoint: Any) -> None:
    served = hub(make_checkpoint("mixed"))
    result = served.run("fetch", NAME, "--json")
    fetched = json.loads(result.stdout)
    assert (fetched["revision"], fetched["audit"]["passed"]) == (COMMIT, True)
    assert COMMIT in fetched["directory"]
    again = served.run("fetch", NAME)
    assert again.stdout.startswith(f"checkpoint: {NAME}\nrevision: {COMMIT}\n")
    answers = served.stop()
    assert all(COMMIT in answer["path"] for answer in answers if "/resolve/" in answer["path"])
    assert weights_sent(answers) < 1.5 * (make_checkpoint("mixed") / "model.safetensors").stat().st_size + (1 << 20)


@pytest.mark.parametrize("to_cache", [True, False])
def test_fetch_goes_on_in_another_run_where_it_was_cut_off(
    hub: Any, make_checkpoint: Any, tmp_path: Path, to_cache: bool
) -> None:
    """The second hub cuts nothing, and is asked for the rest only."""
    source = make_checkpoint("mixed")
    size, place = (source / "model.safetensors").stat().st_size, [] if to_cache else ["--output", tmp_path / "out"]
    cut = hub(source, "--cut", str(size // 8))
    failed = cut.run("fetch", NAME, "--anyway", *place)
    assert (failed.returncode, failed.stderr.count("\n")) == (4, 1)
    assert "it goes on from there" in failed.stderr
    got = weights_sent(cut.stop())
    assert size // 8 <= got < size
    whole = hub(source)
    fetched = json.loads(whole.run("fetch", NAME, "--anyway", *place, "--json").stdout)
    assert fetched["audit"]["passed"]
    assert (Path(fetched["directory"]) / "model.safetensors").read_bytes() == (
        source / "model.safetensors"
    ).read_bytes()
    answers = whole.stop()
    assert weights_sent(answers) == size - got
    assert f"bytes={got}-" in [answer["range"] for answer in answers]


@pytest.mark.parametrize("command", ["check", "fetch"])
def test_an_unknown_revision_is_refused(hub: Any, make_checkpoint: Any, command: str) -> None:
    result = hub(make_checkpoint("mixed")).run(command, NAME, "--revision", "nowhere")
    assert (result.returncode, result.stderr.count("\n")) == (4, 1)


def test_what_is_unfit_can_be_fetched_to_be_repaired(hub: Any, copy_checkpoint: Any, tmp_path: Path) -> None:
    directory = copy_checkpoint("mixed")
    KINDS["mixed_map_read_as_plain_nvfp4"][2](directory)
    served = hub(directory)
    refused = served.run("fetch", NAME)
    assert "--anyway fetches it" in refused.stderr
    assert served.run("fetch", NAME, "--anyway", "--output", tmp_path / "got").returncode == 1
    assert served.run("check", tmp_path / "got", "--repair", tmp_path / "mended").returncode == 0


def test_a_file_that_claims_to_be_small_text_and_is_not_is_left(hub: Any, copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    with (directory / "zzz.json").open("wb") as file:
        file.truncate(300 << 20)
    served = hub(directory)
    result = served.run("check", NAME)
    assert (result.returncode, "zzz.json is" in result.stderr) == (4, True)
    assert sum(answer["sent"] for answer in served.stop()) < 1 << 20


def test_a_broken_checkpoint_is_not_fetched(hub: Any, copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    KINDS["expert_lacks_weight_scale_2"][2](directory)
    served = hub(directory)
    result = served.run("fetch", NAME)
    assert result.returncode == 4
    assert "is missing; nothing was fetched" in result.stderr
    assert weights_sent(served.stop()) <= 256 << 10


def test_a_disk_that_is_too_small_is_told_before_the_download(tmp_path: Path) -> None:
    listing = HubListing(NAME, COMMIT, {"model.safetensors": 1 << 60, "README.md": 1 << 61})
    with pytest.raises(MachineError, match=f"{1 << 60:,} bytes are still to be fetched"):
        require_disk(listing, tmp_path / "new")


def test_a_gibibyte_of_the_disk_is_left_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1 << 30))
    with pytest.raises(MachineError, match="are still to be fetched"):
        require_disk(HubListing(NAME, COMMIT, {"model.safetensors": 1}), tmp_path)


@pytest.mark.parametrize("etag", [None, "", "..", "../../x", "/etc/passwd", "a/b", ".hidden"])
def test_an_etag_that_leads_out_of_the_cache_is_refused(etag: str | None) -> None:
    with pytest.raises(CheckpointError, match="cannot name a file"):
        require_etag(etag, "model.safetensors")
    assert require_etag("0a" * 32, "model.safetensors") == "0a" * 32


def test_what_is_there_already_needs_no_disk(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    require_disk(HubListing(NAME, COMMIT, {"model.safetensors": 1 << 60}), tmp_path)
