"""The page of a scan: its cells, its links, and its size when it is Super's."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.checkpoints.damage import load, save
from tests.support.checkpoints.phantom import write_phantom
from tests.support.checkpoints.spoiled_values import EXPERT, KINDS
from trtnemo.checkpoint import AuditReport, Checkpoint, audit
from trtnemo.checkpoint.auditing.deep.measure import Measure
from trtnemo.checkpoint.auditing.deep.scan import Scan, scan
from trtnemo.checkpoint.auditing.tensors import settle_formats
from trtnemo.checkpoint.charting.scan_values import scan_values
from trtnemo.checkpoint.rules import found
from trtnemo.cli.views.pages.scan_page import scan_page

MOST_BYTES = 3_000_000


def page_of(directory: Path) -> tuple[str, Scan]:
    checkpoint = Checkpoint.open(directory)
    scanned = scan(checkpoint)
    return scan_page(checkpoint, scanned, scanned.added_to(audit(checkpoint))), scanned


def pictures(page: str) -> list[Any]:
    """Return the SVG pictures, read as XML."""
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg viewBox.*?</svg>", page, re.DOTALL)]  # noqa: S314


def test_every_cell_names_its_tensor_and_the_value_that_the_scan_has(make_checkpoint: Any) -> None:
    page, scanned = page_of(make_checkpoint("nvfp4"))
    titles = [node.text or "" for picture in pictures(page) for node in picture.iter("title")]
    values = scan_values(scanned)
    assert f"{EXPERT}.weight: {values[f'{EXPERT}.weight'].rms:.3g}" in titles
    assert f"{EXPERT}.weight: {values[f'{EXPERT}.weight'].zeros:.2%}" in titles
    assert any(title.startswith(f"{EXPERT}.weight: {values[f'{EXPERT}.weight'].spread:.3g}; ") for title in titles)
    named = {title.partition(": ")[0] for title in titles}
    assert values.keys() <= named


@pytest.mark.parametrize(("name", "cell"), [("a_second_scale_times_8", f"{EXPERT}.weight"),
                                            ("block_scales_cut_off", "backbone.layers.0.mixer.in_proj.weight"),
                                            ("a_norm_far_away", "backbone.norm_f.weight")])  # fmt: skip
def test_a_cell_with_a_finding_is_outlined_and_leads_to_it(copy_checkpoint: Any, name: str, cell: str) -> None:
    rule, precision, _, spoil = KINDS[name]
    directory = copy_checkpoint(precision)
    content = load(directory)
    spoil(content)
    save(directory, content)
    page, _ = page_of(directory)
    links = {
        (node.findtext(".//title") or "").partition(": ")[0]: node.attrib["href"]
        for picture in pictures(page)
        for node in picture.iter("a")
    }
    assert links.keys() == {cell}
    entry = re.search(rf'<li id="{links[cell][1:]}".*?</li>', page, re.DOTALL)
    assert entry is not None
    assert f"[{rule}]" in entry[0]


def test_a_good_checkpoint_has_no_finding_and_no_outline(make_checkpoint: Any) -> None:
    page, _ = page_of(make_checkpoint("bf16"))
    assert "<p>None.</p>" in page
    assert "passed: 0 errors" in page
    assert not any(True for picture in pictures(page) for _ in picture.iter("a"))


def test_a_tensor_that_is_missing_has_a_cell_without_a_value(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    del content["backbone.layers.0.mixer.in_proj.weight"]
    save(directory, content)
    page, _ = page_of(directory)
    cells = [
        node
        for picture in pictures(page)
        for node in picture.iter("rect")
        if (node.findtext("title") or "").startswith("backbone.layers.0.mixer.in_proj.weight: not there")
    ]
    assert {node.attrib["class"] for node in cells} == {"none", "found"}


@pytest.fixture(scope="module")
def of_super(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Scan, AuditReport]:
    """Return Super with 512 experts and numbers that were made up: the same counts of codes for all."""
    directory = tmp_path_factory.mktemp("super") / "phantom"
    write_phantom(directory)
    checkpoint = Checkpoint.open(directory)
    expected, _ = settle_formats(checkpoint)
    counts = np.full(256, 10, np.uint64)
    measures = {
        name: Measure(info, zeros=place % 50, squares=1.0 + place % 97, bytes=counts)
        for place, (name, info) in enumerate(checkpoint.tensors.items())
        if not name.endswith(("weight_scale_2", "input_scale"))
    }
    findings = [found("expert-far", name, f"is made up, {place}") for place, name in enumerate(measures)]
    scanned = Scan(checkpoint.total_bytes, 60.0, findings, measures, [], (), expected, dict.fromkeys(expected, 1e-3))
    return checkpoint, scanned, scanned.added_to(audit(checkpoint, values=False))


def test_the_page_of_super_stays_small_whatever_is_found(of_super: Any) -> None:
    page = scan_page(*of_super)
    assert len(of_super[2].findings) > 40_000
    assert len(page.encode()) < MOST_BYTES
    images = [node for picture in pictures(page) for node in picture.iter("image")]
    assert len(images) == 6
    assert re.search(r"[\d,]+ more that should be outlined are not", page)
    assert "too many experts for one element each" in page
    assert "more, which <code>--json</code> prints" in page
