"""The report of a benchmark: what the page says, what its charts show, and what a browser makes of it."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from trtnemo.bench.load.record import Counters, Prediction, RequestRecord, RunRecord, Server
from trtnemo.bench.load.shape import LoadShape
from trtnemo.bench.load.summary import summarize
from trtnemo.bench.sweep.charts import pareto_front, short_label
from trtnemo.bench.sweep.point import Point
from trtnemo.bench.sweep.report import write_report
from trtnemo.errors import MachineError, UsageError

HOSTILE = "<script>alert(1)</script>"
MISSING = [("trtllm nvfp4", "needs a GPU; this machine has none"), (f"vllm {HOSTILE}", "out of memory\nat start")]
NAMES = [f"{kind} c{streams}" for kind in ("plain", "mtp", "suffix tree") for streams in (1, 4, 16, 64)]
CHARTS = ["pareto", "percentiles", "acceptance", "roofline"]
BROWSER = shutil.which("chromium")


def requests_of(streams: Any, interval: Any, count: Any = 24) -> Any:
    """Requests of 64 tokens, `streams` at once, each answered a little differently."""
    return tuple(
        RequestRecord(
            number=number,
            warmup=number < 2,
            status="failed" if number == 5 and streams == 64 else "ok",
            sent=(sent := number // streams * 64 * interval),
            first=sent + 0.02 * streams**0.7 * (1 + number % 7 / 4),
            last=sent + 0.1 * streams**0.5 + 63 * interval * (1 + number % 5 / 20),
            done=sent + 0.1 * streams**0.5 + 64 * interval * (1 + number % 5 / 20),
            prompt_tokens=200,
            output_tokens=64,
            thinking_only=number == 7,
        )
        for number in range(count)
    )


def point(index: Any, name: Any, **changes: Any) -> Any:
    """A plausible point: the more streams, the slower each; every third kind of points drafts better."""
    kind, streams = divmod(index, 4)
    streams = 4**streams
    run = RunRecord(
        started=1_790_000_000 + 60 * index,
        shape=LoadShape(concurrency=streams, requests=22, warmup=2),
        server=Server(
            url="http://127.0.0.1:8000",
            model="nemotron-tiny",
            software="trtnemo",
            version="0.1.0",
            recipe="recipes/tiny.yaml",
            settings=("speculation.method=mtp",) if kind else (),
            engine_digest="sha256:" + f"{kind}7c1d" * 12,
        ),
        machine={"processor": "EPYC 7B13", "cores": "2", "memory_gib": "31"},
        counters=Counters(
            drafted_tokens=3000 if kind else None,
            accepted_tokens=1900 - 400 * kind if kind else None,
            verifications=1000 if kind else None,
            cached_tokens=400,
            prompt_tokens=4400,
        ),
        generator="guidellm 0.5.0",
        prompts_digest="ab" * 32,
        prediction=Prediction(tokens_per_second=90.0 * streams**0.8, tokens_per_second_each=90, bound="memory")
        if streams > 1
        else None,
        requests=requests_of(streams, 0.012 * streams**0.6 / (1 + 0.4 * kind)),
    ).model_copy(update=changes)
    return Point(name, run, summarize(run))


@pytest.fixture(scope="module")
def points() -> Any:
    return [point(index, HOSTILE if index == 6 else name) for index, name in enumerate(NAMES)]


@pytest.fixture(scope="module")
def report(points: Any, tmp_path_factory: Any) -> Any:
    return write_report(points, MISSING, tmp_path_factory.mktemp("report") / "out", f"Tiny on two cores {HOSTILE}")


def page_of(paths: Any) -> Any:
    return paths[0].read_text(encoding="utf-8")


def colours(file: Any) -> Any:
    image = (imread(file)[..., :3] * 255).astype(np.uint32)
    return len(np.unique(image @ np.array([1 << 16, 1 << 8, 1], np.uint32)))


def test_a_report_is_a_page_and_its_charts(report: Any) -> None:
    assert [path.name for path in report] == ["report.html", *(f"{name}.png" for name in CHARTS)]
    for path in report[1:]:
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert colours(path) > 20


def test_names_cannot_put_markup_into_the_page(report: Any) -> None:
    page = page_of(report)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4  # two titles, a point, a point that was not run


def test_the_page_loads_nothing_from_elsewhere(report: Any) -> None:
    page = page_of(report)
    assert """content="default-src 'none'; style-src 'unsafe-inline'">""" in page
    loaded = re.findall(r"""(?:src|href|srcset|action|data)\s*=\s*["']?([^"'>\s]{1,9})""", page)
    assert loaded == []
    assert page.count("<svg") == len(CHARTS)
    assert not re.search(r"url\(|@import|<link|<iframe|<object", page)


def test_numbers_stand_in_the_table(report: Any, points: Any) -> None:
    page = page_of(report)
    rows = re.findall(r'<tr class="point">(.*?)</tr>', page, re.DOTALL)
    assert len(rows) == len(points)
    summary = points[4].summary
    assert f"{summary.metrics['output_tokens_per_second']:,.1f}" in rows[4]
    assert f"{1000 * summary.metrics['ttft_p99']:,.1f}" in rows[4]
    assert "50.0" in rows[4]  # accepted of drafted, in per cent
    assert "—" in rows[0]  # it did not draft


def test_the_answer_leads_then_pictures_then_tables_and_where_it_ran_ends(report: Any) -> None:
    page = page_of(report)
    order = ['class="answer"', 'id="pareto"', 'id="roofline"', 'id="points"', 'id="missing"', 'id="setup"', "EPYC 7B13"]
    places = [page.index(mark) for mark in order]
    assert places == sorted(places)
    assert "7c1d7c1d7c" not in page[: places[-2]]  # digests and addresses stand last
    assert "127.0.0.1" not in page[: places[-2]]
    answer = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page, re.DOTALL)
    assert [title for title, _ in answer] == ["Most output", "Knee", "Fastest for one user", "Drafts", "Left out"]
    assert "3 points lost requests" in answer[-1][1]


def test_every_mark_of_a_picture_says_its_numbers(report: Any, points: Any) -> None:
    page = page_of(report)
    summary = points[4].summary
    speed, rate = (summary.metrics[f"{name}"] for name in ("tokens_per_second_per_user", "output_tokens_per_second"))
    assert f"<title>mtp c1: {speed:,.1f} tokens/s of one user, {rate:,.1f} of one device</title>" in page
    assert page.count("(p99)</title>") == 2 * len(points)


def test_limits_of_a_search_decide_what_is_best(points: Any, tmp_path: Path) -> None:
    page = page_of(write_report(points, [], tmp_path, "Limited", {"ttft_p99": 1e-6}))
    assert "<dt>Best within the limits</dt><dd>No point kept the limits." in page


def test_what_all_points_share_is_said_once_and_the_rest_by_point(report: Any) -> None:
    page = page_of(report)
    assert page.count("EPYC 7B13") == page.count("guidellm 0.5.0") == 1
    assert page.count("speculation.method=mtp") == 8
    assert "17c1d17c1d17<" in page  # a digest is cut
    assert "2026-09-21" in page


def test_what_was_not_run_is_listed_with_its_reason(report: Any) -> None:
    page = page_of(report)
    assert "needs a GPU; this machine has none" in page
    assert "out of memory\\nat start" in page  # on one line
    assert "12 points measured" in page
    assert "2 not run" in page


def test_charts_without_data_are_left_out_and_the_page_says_so(tmp_path: Path) -> None:
    only = point(0, "alone")
    without = {name: value for name, value in only.summary.metrics.items() if "ttft" not in name and "itl" not in name}
    del without["tokens_per_second_per_user"]
    paths = write_report(
        [dataclasses.replace(only, summary=dataclasses.replace(only.summary, metrics=without))], [], tmp_path, "One"
    )
    assert [path.name for path in paths] == ["report.html"]
    page = page_of(paths)
    assert "<svg" not in page
    assert page.count("<p>No chart of ") == len(CHARTS)
    assert "1 point measured" in page
    assert "Every point was run." in page


def test_a_chart_of_some_points_says_how_many(report: Any) -> None:
    text = " ".join(page_of(report).split())
    assert "It shows 8 of 12 points" in text  # drafted
    assert "It shows 9 of 12 points" in text  # predicted


@pytest.mark.parametrize("name", ["$x^", "日本語 \x07", "a" * 300, "", "\ud800 lone", "{{ 7 * 7 }}", "%s\\n"])
def test_any_name_can_be_reported(tmp_path: Path, name: Any) -> None:
    paths = write_report([point(5, name), point(5, name)], [(name, name)], tmp_path, name)
    assert len(paths) == 5


def test_times_of_zero_are_drawn(tmp_path: Path) -> None:
    still = tuple(
        request.model_copy(update={"sent": 0.0, "first": 0.0, "last": 0.0, "done": 1.0})
        for request in requests_of(1, 0.01)
    )
    paths = write_report([point(0, "still", requests=still)], [], tmp_path, "Still")
    assert [path.name for path in paths] == ["report.html", "percentiles.png"]


def test_a_report_of_no_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no measured point"):
        write_report([], MISSING, tmp_path / "none", "Nothing")
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_report([point(0, "a")], [], tmp_path / "file" / "out", "x")


def test_a_report_without_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MachineError, match=r"trtnemo\[plot\]"):
        write_report([point(0, "a")], [], tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


def test_the_front_keeps_what_nothing_beats() -> None:
    assert pareto_front([(1, 9), (5, 5), (4, 4), (9, 1), (9, 0), (5, 5), (1, 8)]) == [(1, 9), (5, 5), (9, 1)]


def test_a_label_is_short_and_can_be_drawn() -> None:
    assert short_label("mtp c16") == "mtp c16"
    assert short_label("日本\n") == "???"
    assert short_label("nano " + "x" * 90 + " c1024") == "nano xxxxxxxx…xxxxxxx c1024"


def browse(page: Any, folder: Any, width: Any, *what: Any) -> Any:
    """Open a page as a person would and return what the browser wrote and what it logged."""
    assert BROWSER is not None
    command = [
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *("--enable-logging=stderr", "--v=0", f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2400"),
    ]
    done = subprocess.run([*command, *what, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    # a page that breaks its policy is told of at level INFO
    assert not re.search("CONSOLE|Refused to|Content Security Policy", done.stderr), done.stderr
    return done.stdout


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine; `apt-get install chromium` brings it")
def test_a_browser_shows_all_points_and_complains_of_nothing(report: Any, tmp_path: Path) -> None:
    page = browse(report[0], tmp_path, 1200, "--dump-dom")
    assert page.count('<tr class="point">') == len(NAMES)
    assert "<script" not in page
    for width in (1200, 400):
        picture = tmp_path / f"{width}.png"
        browse(report[0], tmp_path, width, f"--screenshot={picture}")
        assert imread(picture).shape[0] == 2400
        assert colours(picture) > 20
