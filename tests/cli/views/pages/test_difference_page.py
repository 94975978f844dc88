"""The page of a comparison: what is outlined, and that its size is bounded."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.checkpoints.damage import load, save
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.comparing.compare import compare_checkpoints
from trtnemo.cli.views.pages import chart
from trtnemo.cli.views.pages.difference_page import difference_page, far_below

EXPERTS = "backbone.layers.1.mixer.experts"


def page_of(one: Any, other: Any) -> str:
    first, second = Checkpoint.open(one), Checkpoint.open(other)
    return difference_page(first, second, compare_checkpoints(first, second))


@pytest.fixture
def changed(copy_checkpoint: Any) -> Any:
    """Return NVFP4 of the BF16 checkpoint of the same seed, with one expert far off."""
    directory = copy_checkpoint("nvfp4")
    content = load(directory)
    content[f"{EXPERTS}.3.up_proj.weight_scale_2"] *= 2
    save(directory, content)
    return directory


def test_only_what_is_far_below_the_others_is_outlined(make_checkpoint: Any, changed: Any) -> None:
    page = page_of(make_checkpoint("bf16"), changed)
    linked = re.findall(r'<a href="#(worst-\d+)"><?.*?<title>(\S+): (\S+ dB)</title>', page)
    assert {(place, name) for place, name, _ in linked} == {("worst-1", f"{EXPERTS}.3.up_proj.weight")}
    assert '<tr id="worst-1"><td class="name">backbone.layers.1.mixer.experts.3.up_proj.weight</td>' in page


def test_codes_that_moved_are_a_picture_of_their_own(make_checkpoint: Any, copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("nvfp4")
    content = load(directory)
    content[f"{EXPERTS}.3.up_proj.weight"][0] ^= 0x01
    save(directory, content)
    moved = content[f"{EXPERTS}.3.up_proj.weight"].shape[1] / (2 * content[f"{EXPERTS}.3.up_proj.weight"].numel())
    page = page_of(make_checkpoint("nvfp4"), directory)
    assert f"<title>{EXPERTS}.3.up_proj.weight: {moved:.3%} of the codes moved</title>" in page
    assert f"<title>{EXPERTS}.4.up_proj.weight: 0.000% of the codes moved</title>" in page
    assert 'id="moved"' not in page_of(make_checkpoint("bf16"), make_checkpoint("nvfp4"))


def test_too_many_experts_are_an_image(make_checkpoint: Any, changed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart, "MOST_TITLED", 10)
    page = page_of(make_checkpoint("bf16"), changed)
    assert page.count('<image href="data:image/png;base64,') == 2
    assert re.search(rf"<title>lowest {EXPERTS}\.3\.up_proj\.weight: -?\d\.\d dB; highest ", page)


def test_where_all_differ_alike_none_is_far_below(make_checkpoint: Any) -> None:
    first, second = (Checkpoint.open(make_checkpoint(precision)) for precision in ("bf16", "nvfp4"))
    assert far_below(compare_checkpoints(first, second).differing) == set()
    assert far_below([]) == set()
