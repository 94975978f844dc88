"""States of prompts on disk: what an engine reads once, the next one starts from, and says the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.backends.asking import PARAMS, STOP, prompt, say
from tests.support.backends.prefix_disk import Disk
from trtnemo import SamplingParams

LONG = prompt(0, 6000)
FORMS = [
    {},
    {"kv_cache": "float16"},
    {"ssm_state": "float16"},
    {"kv_cache": "float16", "ssm_state": "float16", "activations": "int8"},
    {"mtp": False},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_restarted_engine_says_the_same_and_reads_the_prompt_no_second_time(disk: Disk, form: Any) -> None:
    tokens, drafts = LONG[:3000], 3 if form.get("mtp", True) else 0
    answer, reused = disk.ask(tokens, drafts=drafts, **form)
    assert reused == 0
    client = disk.client(drafts=drafts, **form)
    assert say(client, tokens) == (answer, 2944)
    assert client.statistics.prefix_disk_hits == client.statistics.prefix_hits == client.statistics.prefix_queries == 1
    assert client.statistics.cached_tokens == 2944
    assert len(disk.files) == 1


@pytest.mark.parametrize(("common", "found"), [(5999, 5888), (5880, 5632), (4000, 1536), (1200, 0)])
def test_a_prompt_with_another_end_starts_from_the_last_state_that_it_shares(
    disk: Disk, common: int, found: int
) -> None:
    disk.ask(LONG)
    other = [*LONG[:common], *prompt(5, 300)]
    answer, reused = disk.ask(other)
    assert reused == found
    disk.root = disk.root / "elsewhere"
    assert disk.ask(other) == (answer, 0)


def test_the_end_of_the_last_finished_turn_is_kept(disk: Disk) -> None:
    turns = [*LONG[:2000], STOP, *prompt(1, 4)]
    disk.ask(turns)
    assert disk.ask([*turns[:2001], *prompt(2, 30), STOP, *prompt(1, 4)])[1] == 2001


def test_salts_keep_prompts_apart(disk: Disk) -> None:
    def salted(salt: str) -> Any:
        return SamplingParams(temperature=0, max_tokens=2, cache_salt=salt)

    tokens = LONG[:2000]
    assert disk.ask(tokens, salted("one"))[1] == 0
    assert disk.ask(tokens, salted("two"))[1] == 0
    assert disk.ask(tokens, PARAMS)[1] == 0
    assert [disk.ask(tokens, salted(salt))[1] for salt in ("one", "two", "", "three")] == [1920, 1920, 1920, 0]


def test_other_tokens_of_the_same_number_are_no_prefix(disk: Disk) -> None:
    disk.ask(LONG[:2000])
    assert disk.ask([LONG[0] + 1, *LONG[1:2000]])[1] == 0


@pytest.mark.parametrize(
    "other", [{"engine": "other"}, {"kv_cache": "float16"}, {"ssm_state": "float16"}, {"activations": "int8"}], ids=str
)
def test_another_engine_and_other_element_types_have_a_folder_of_their_own(disk: Disk, other: Any) -> None:
    tokens = LONG[:2000]
    disk.ask(tokens)
    assert disk.ask(tokens, **other)[1] == 0
    assert len({path.parent for path in disk.files}) == 2
    assert (disk.ask(tokens)[1], disk.ask(tokens, **other)[1]) == (1920, 1920)


def test_drafting_and_other_engines_share_nothing_either(disk: Disk) -> None:
    disk.ask(LONG[:2000], mtp=True)
    assert disk.ask(LONG[:2000], mtp=False)[1] == 0


def test_a_prompt_that_is_nearly_there_is_not_written_again(disk: Disk) -> None:
    disk.ask(LONG[:5000])
    before = disk.files
    disk.ask([*LONG[:4900], *prompt(3, 700)])
    assert disk.files == before
    disk.ask([*LONG[:4900], *prompt(3, 1300)])
    assert len(disk.files) == 2


def test_short_prompts_and_scored_ones_stay_away(disk: Disk) -> None:
    disk.ask(LONG[:1100])
    assert len(disk.files) == 1
    disk.ask(LONG[1000:2020])
    assert len(disk.files) == 1
    scoring = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=1)
    assert disk.ask(LONG[:1100], scoring)[1] == 0
    disk.ask(LONG[2000:4000], scoring)
    assert len(disk.files) == 1


def test_what_memory_has_is_not_read_from_disk(disk: Disk) -> None:
    client = disk.client(memory=100 << 20)
    assert [say(client, LONG[:3000])[1] for _ in range(3)] == [0, 2944, 2944]
    assert client.statistics.prefix_disk_hits == 0
    other = disk.client(memory=100 << 20)
    assert [say(other, LONG[:3000])[1] for _ in range(3)] == [2944] * 3
    assert other.statistics.prefix_disk_hits == 1


def test_what_is_too_large_for_memory_is_read_again_and_leaves_no_page_behind(disk: Disk) -> None:
    disk.ask(LONG[:3000])
    client = disk.client(memory=1)
    assert [say(client, LONG[:3000])[1] for _ in range(3)] == [2944] * 3
    assert client.statistics.prefix_disk_hits == 3
    client.close()
    assert client.statistics.kv_pages_used == 0
