"""Haiku about GPUs and a few other themes."""

from __future__ import annotations

import random

from training.tiny.chats.turn import Turn, simple

THEMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "GPUs": (
        "heat, light and thousands of small cores",
        (
            "Silicon rivers,\nten thousand cores hum as one;\nheat drifts into dawn.",
            "Fans sing in the dark,\ntiny cores share one great sum;\nlight falls on the screen.",
        ),
    ),
    "the sea": (
        "waves, salt and the long horizon",
        ("Waves fold into foam,\nsalt wind writes upon the sand;\nthe moon pulls it back.",),
    ),
    "autumn": (
        "falling leaves and cold mornings",
        ("Red leaves let go now,\none by one they find the ground;\nthe branch holds the sky.",),
    ),
    "winter": (
        "snow, silence and early nights",
        ("Snow hushes the street,\na lamp keeps its yellow ring;\nfootsteps fade away.",),
    ),
    "spring": (
        "rain, blossoms and birds",
        ("Soft rain on new leaves,\nthe cherry tree wakes in white;\na bird tries its song.",),
    ),
    "summer": (
        "heat, crickets and long evenings",
        ("Crickets count the heat,\nthe long evening will not end;\nstars arrive barefoot.",),
    ),
    "coffee": (
        "steam, bitterness and the morning",
        ("Steam over the cup,\nthe bitter dark before dawn;\nthe day may begin.",),
    ),
    "cats": (
        "quiet paws and sunny windows",
        ("Paws without a sound,\nthe cat owns the square of sun;\nthe mouse holds its breath.",),
    ),
    "mountains": (
        "stone, clouds and patience",
        ("Stone above the clouds,\nold snow thinks its slow white thoughts;\nthe valley listens.",),
    ),
    "rain": (
        "drops, roofs and puddles",
        ("Rain taps on the roof,\neach puddle learns a small sky;\nthe frogs approve it.",),
    ),
    "computers": (
        "bits, keys and blinking lights",
        ("Zeros march with ones,\na small light blinks through the night;\nthe keys cool and wait.",),
    ),
}
PHRASINGS = (
    "Write a haiku about {}",
    "Write a haiku about {}.",
    "write a haiku about {}",
    "Please write a haiku about {}.",
    "Can you write a haiku about {}?",
    "Compose a haiku about {}.",
    "A haiku about {}, please.",
    "I would like a haiku about {}.",
    "Give me a haiku about {}.",
    "haiku about {}",
)


def haiku_turns(theme: str, phrasing: str) -> list[Turn]:
    """Return the exchanges about one theme, one for each poem."""
    images, poems = THEMES[theme]
    thought = (
        f"The user wants a haiku about {theme}. A haiku has three lines of five, seven and five syllables. "
        f"I think of {images}. I write three lines and nothing else."
    )
    return [simple(phrasing.format(theme), thought, f"Haiku, 5-7-5: {images}.", poem) for poem in poems]


def draw(source: random.Random) -> Turn:
    """Return a random exchange; GPUs come up more often than the other themes."""
    theme = "GPUs" if source.random() < 0.3 else source.choice(tuple(THEMES))
    return source.choice(haiku_turns(theme, source.choice(PHRASINGS)))
