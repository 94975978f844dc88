"""Colours of numbers: viridis' own, ends that leave room, and one value far away that does not hide the others."""

from __future__ import annotations

import base64
import io
import math

import pytest

from trtnemo.cli.views.pages.colours import ColourScale, colour
from trtnemo.cli.views.pages.png import data_uri


def test_colours_are_viridis() -> None:
    viridis = pytest.importorskip("matplotlib").colormaps["viridis"]
    for place in (0, 0.1, 0.25, 0.5, 0.77, 1):
        theirs = [255 * part for part in viridis(float(place))[:3]]
        assert colour(place) == pytest.approx(theirs, abs=8)


def test_values_that_are_alike_are_not_spread_over_all_colours() -> None:
    scale = ColourScale.ratio([1.0, 1.01, 0.99])
    assert (scale.low, scale.high, scale.is_cut) == (0.5, 2.0, (False, False))
    assert scale.place(1.0) == pytest.approx(0.5)
    assert ColourScale.decibels([20.0, 21.0]).high - ColourScale.decibels([20.0, 21.0]).low == 10


def test_one_value_far_away_does_not_hide_the_others() -> None:
    scale = ColourScale.ratio([1.0, 2.0, 3.0, 1e20])
    assert scale.high == pytest.approx(250)
    assert scale.is_cut == (False, True)
    assert scale.place(1e20) == 1
    assert ColourScale.ratio([0.0, 1.0]).place(0.0) == 0
    cut = ColourScale.decibels([-300.0, 20.0, 20.0])
    assert (cut.low, cut.is_cut) == (-20.0, (True, False))


def test_numbers_of_a_legend_are_those_of_the_colours() -> None:
    for scale in (ColourScale.ratio([0.1, 5.0]), ColourScale.share([0.4], 0.2), ColourScale.decibels([5.0, 50.0])):
        for place in (0, 0.25, 0.5, 1):
            assert scale.place(scale.at(place)) == pytest.approx(place)
    assert ColourScale.decibels([math.inf]).place(math.inf) == 1


def test_an_image_has_the_colours_of_its_cells_and_nothing_where_there_is_none() -> None:
    image = pytest.importorskip("PIL.Image")
    data = base64.b64decode(data_uri([[0.0, 0.5, 1.0], [None, 1.0, 0.0]]).removeprefix("data:image/png;base64,"))
    pixels = image.open(io.BytesIO(data)).convert("RGBA")
    assert pixels.size == (3, 2)
    assert pixels.getpixel((1, 0)) == (*colour(0.5), 255)
    assert pixels.getpixel((2, 0)) == (*colour(1.0), 255)
    assert pixels.getpixel((0, 1))[3] == 0
