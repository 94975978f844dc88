"""City names for the tools: made-up ones to learn copying from, and real ones that only the evaluation uses."""

from __future__ import annotations

import random

_ONSETS = ("b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kr", "l", "m", "n", "p", "pr", "r",
           "s",
           "sh", "st", "t", "tr", "v", "w", "y", "z", "")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou", "ü", "é", "o", "a", "e", "i")
_CODAS = ("", "", "n", "r", "s", "l", "m", "ng", "rt", "ck", "ld", "nd", "th")
_FIRST = ("New", "San", "Saint", "Port", "North", "Los", "El", "Fort", "Santa", "Bad", "Rio", "Cape", "Salt")
_LAST = ("City", "Beach", "Falls", "Harbor", "Springs", "Hill", "Bay", "Lake")
SEEN = (
    "Tokyo", "Paris", "London", "Berlin", "Rome", "Madrid", "Oslo", "Munich", "Chicago", "Dallas", "Denver", "Kyoto",
    "Naples", "Lyon", "Porto", "Geneva", "Zurich", "Prague", "Bristol", "Leeds", "Houston", "Phoenix", "Austin",
    "Mumbai", "Delhi", "Shanghai", "Nagoya", "Busan", "Lagos", "Tunis", "Lima", "Quito", "Toronto", "Vancouver",
    "Sydney", "Perth", "Auckland", "New York", "Los Angeles", "San Diego", "Rio de Janeiro", "Cape Town", "Tel Aviv",
)  # fmt: skip
HELD_OUT = (
    "Osaka", "Seattle", "Boston", "Miami", "Portland", "Hamburg", "Cologne", "Frankfurt", "Stuttgart", "Milan", "Turin",
    "Venice", "Florence", "Palermo", "Barcelona", "Seville", "Valencia", "Bilbao", "Marseille", "Toulouse", "Nantes",
    "Bordeaux", "Strasbourg", "Manchester", "Liverpool", "Glasgow", "Edinburgh", "Cardiff", "Belfast", "Antwerp",
    "Ghent",
    "Rotterdam", "Utrecht", "Basel", "Salzburg", "Krakow", "Gdansk", "Istanbul", "Izmir", "Dubai", "Doha", "Karachi",
    "Lahore", "Chennai", "Kolkata", "Bangalore", "Shenzhen", "Guangzhou", "Taipei", "Hong Kong", "Singapore", "Sapporo",
    "Melbourne", "Brisbane", "Adelaide", "Montreal", "Calgary", "San Francisco", "Las Vegas", "New Orleans", "Atlanta",
    "Philadelphia", "Detroit", "Sao Paulo", "Salvador", "Medellin", "Caracas", "Cancun", "Casablanca", "Johannesburg",
)  # fmt: skip


def draw(source: random.Random) -> str:
    """Return a city of the training set: mostly made up, so that names must be copied and not known."""
    if source.random() < 0.2:
        return source.choice(SEEN)
    name = _word(source)
    kind = source.random()
    if kind < 0.1:
        return f"{source.choice(_FIRST)} {name}"
    if kind < 0.16:
        return f"{name} {source.choice(_LAST)}"
    return f"{name}-{_word(source)}" if kind < 0.18 else name


def _word(source: random.Random) -> str:
    while True:
        syllables = source.choice((2, 2, 2, 3, 3, 4))
        parts = (source.choice(_ONSETS) + source.choice(_VOWELS) + source.choice(_CODAS) for _ in range(syllables))
        word = "".join(parts).capitalize()
        if 3 <= len(word) <= 14 and word not in HELD_OUT:
            return word
