"""Questions for capitals: 60 facts in many phrasings, some of which are kept for the evaluation."""

from __future__ import annotations

import random
import re

from training.tiny.chats.turn import Turn, simple

CAPITALS: dict[str, tuple[str, str]] = {
    "Japan": ("Tokyo", "Asia"), "France": ("Paris", "Europe"), "Germany": ("Berlin", "Europe"),
    "Italy": ("Rome", "Europe"), "Spain": ("Madrid", "Europe"), "Portugal": ("Lisbon", "Europe"),
    "China": ("Beijing", "Asia"), "India": ("New Delhi", "Asia"), "Egypt": ("Cairo", "Africa"),
    "Kenya": ("Nairobi", "Africa"), "Norway": ("Oslo", "Europe"), "Sweden": ("Stockholm", "Europe"),
    "Finland": ("Helsinki", "Europe"), "Denmark": ("Copenhagen", "Europe"), "Iceland": ("Reykjavik", "Europe"),
    "Ireland": ("Dublin", "Europe"), "Poland": ("Warsaw", "Europe"), "Austria": ("Vienna", "Europe"),
    "Hungary": ("Budapest", "Europe"), "Greece": ("Athens", "Europe"), "Turkey": ("Ankara", "Asia"),
    "Russia": ("Moscow", "Europe"), "Ukraine": ("Kyiv", "Europe"), "Canada": ("Ottawa", "North America"),
    "Mexico": ("Mexico City", "North America"), "Cuba": ("Havana", "North America"),
    "Brazil": ("Brasilia", "South America"), "Argentina": ("Buenos Aires", "South America"),
    "Chile": ("Santiago", "South America"), "Peru": ("Lima", "South America"),
    "Colombia": ("Bogota", "South America"), "Thailand": ("Bangkok", "Asia"), "Vietnam": ("Hanoi", "Asia"),
    "Indonesia": ("Jakarta", "Asia"), "Australia": ("Canberra", "Oceania"),
    "New Zealand": ("Wellington", "Oceania"), "Morocco": ("Rabat", "Africa"), "Nigeria": ("Abuja", "Africa"),
    "Ghana": ("Accra", "Africa"), "South Korea": ("Seoul", "Asia"), "Belgium": ("Brussels", "Europe"),
    "Croatia": ("Zagreb", "Europe"), "Romania": ("Bucharest", "Europe"), "Bulgaria": ("Sofia", "Europe"),
    "Serbia": ("Belgrade", "Europe"), "Estonia": ("Tallinn", "Europe"), "Latvia": ("Riga", "Europe"),
    "Lithuania": ("Vilnius", "Europe"), "Iran": ("Tehran", "Asia"), "Iraq": ("Baghdad", "Asia"),
    "Israel": ("Jerusalem", "Asia"), "Nepal": ("Kathmandu", "Asia"), "Mongolia": ("Ulaanbaatar", "Asia"),
    "Malaysia": ("Kuala Lumpur", "Asia"), "the Philippines": ("Manila", "Asia"),
    "Ethiopia": ("Addis Ababa", "Africa"), "Senegal": ("Dakar", "Africa"), "Tunisia": ("Tunis", "Africa"),
    "Uruguay": ("Montevideo", "South America"), "Ecuador": ("Quito", "South America"),
}  # fmt: skip

PHRASINGS = (
    "What is the capital of {}?",
    "what is the capital of {}",
    "What is the capital of {}",
    "what is the capital of {}?",
    "What's the capital of {}?",
    "whats the capital of {}",
    "Which city is the capital of {}?",
    "Name the capital of {}.",
    "Name the capital city of {}",
    "Tell me the capital city of {}.",
    "Tell me the capital of {}.",
    "Do you know the capital of {}?",
    "capital of {}?",
    "Capital of {}",
    "{} capital",
    "{}: capital?",
    "The capital of {} is",
    "The capital of {} is which city?",
    "In {}, which city is the capital?",
    "Can you tell me the capital of {}?",
    "Could you name the capital of {}?",
    "Please tell me what the capital of {} is.",
    "Please name the capital of {}.",
    "I would like to know the capital of {}.",
    "I forgot the capital of {}. What is it?",
    "What city is the capital of {}?",
    "What is {}'s capital?",
    "What is {}'s capital city?",
    "{}'s capital?",
    "Which city is {}'s capital?",
    "Quick question: what is the capital of {}?",
    "Geography quiz: the capital of {}?",
    "Help me with my homework: what is the capital of {}?",
    "Say the name of the capital of {}.",
    "Answer briefly: what is the capital of {}?",
    "Remind me, what is the capital of {}?",
    "If I travel to {}, what is its capital?",
    "Where is the government of {}? I mean the capital.",
    "My friend lives in {}. What is the capital there?",
    "Give me the capital of {}.",
    "What do we call the capital of {}?",
    "Hello! What is the capital of {}?",
    "Hi, do you know which city is the capital of {}?",
    "I am learning about {}. Which city is the capital?",
)
HELD_OUT_PHRASINGS = (
    "Hey, what's {}'s capital city?",
    "Which city serves as the capital of {}?",
    "Could you please tell me the capital city of {}?",
    "I wonder what the capital of {} is.",
    "Do you happen to know what the capital of {} is?",
    "For a quiz, I need the capital of {}.",
    "The capital of {}, please.",
    "Let us talk about {}. What is the capital?",
)
# Written when the corpus was settled: how the ones above failed had been looked at before it was widened.
LATE_PHRASINGS = (
    "What would you say is the capital of {}?",
    "Kindly state the capital of {}.",
    "Which capital does {} have?",
    "In my exam they want the capital of {}.",
    "Is there a capital of {}? Which one?",
    "The country is {}. What is the capital called?",
)


# Around a phrasing, in the later stages of the training: what stands beside the question must not matter.
_BEFORE = (
    "Hello, ", "Hi! ", "Hey! ", "OK, ", "Well, ", "So, ", "Good morning. ", "Excuse me, ", "One more: ",
    "Next question: ",
    "I am curious. ", "I have a question. ", "My teacher asks: ", "For my homework: ", "For a game: ", "Tell me: ",
    "Say, ",
    "I am planning a trip. ", "We play a quiz. ", "Now something else. ", "Let me ask you something. ",
    "I read a book. ",
    "My son wants to know: ", "It is for a test. ", "Think about it: ", "I always forget this. ",
)  # fmt: skip
_AFTER = (
    " Thanks!", " Thank you.", " Please.", " I forgot.", " I need it today.", " Tell me.", " Be brief.",
    " It is for a quiz.",
    " Just the name.", " I am not sure.", " One sentence is enough.", " I want to learn it.", " It is important.",
)  # fmt: skip
_MORE_CORES = (
    "I need to know the capital of {}.", "Which is the capital of {}?", "I want to know {}'s capital.",
    "the capital of {}",
    "You surely know the capital of {}.", "Do you remember the capital of {}?", "What could the capital of {} be?",
    "Can you name {}'s capital?", "Which city do they call the capital in {}?", "Think of {}. What is its capital?",
    "I think about {}. Which city is its capital?", "{} is a country. What is its capital?",
    "About {}: what is the capital?",
    "Someone from {} asked me about their capital. Which city is it?", "We talk about {}. The capital is?",
    "I know where {} is, but what is the capital?", "I am asking for the capital of {}.", "We need the capital of {}.",
)  # fmt: skip


_LEADS = (
    "Consider {}.", "Take {}.", "Our topic is {}.", "Today it is {}.", "Imagine you visit {}.", "Look at {}.",
    "I go to {}.", "I come from {}.", "I just read about {}.", "My flight goes to {}.", "We were in {}.", "Now {}.",
    "Let me ask about {}.", "Next comes {}.", "She moved to {}.", "I like {}.", "You know {}.", "Let's look at {}.",
)  # fmt: skip
_QUESTIONS = (
    "What is the capital?", "What is its capital?", "Which city is the capital?", "Which city is its capital?",
    "Do you know the capital?", "The capital?", "And the capital?", "Name its capital.", "What's the capital city?",
    "Tell me the capital.", "I need the capital.",
)  # fmt: skip
_ASKING = ("what's", "whats", "what is", "which city is", "name", "tell me", "do you know", "I need", "say")
_THINGS = ("capital", "capital city", "capital")


def _core(source: random.Random) -> str:
    kind = source.random()
    if kind < 0.25:
        return f"{source.choice(_LEADS)} {source.choice(_QUESTIONS)}"
    if kind < 0.5:
        asking = source.choice(_ASKING)
        asking = asking if source.random() < 0.5 else _upper(asking)
        return f"{asking} {{}}'s {source.choice(_THINGS)}{source.choice(('?', '.', ''))}"
    return source.choice((*PHRASINGS, *_MORE_CORES))


def compose_phrasing(source: random.Random) -> str:
    """Return a phrasing with other sentences around it; never one that the evaluation holds back."""
    while True:
        before = source.choice(_BEFORE) if source.random() < 0.6 else ""
        phrasing = before + _core(source) + (source.choice(_AFTER) if source.random() < 0.4 else "")
        if not any(_words(held_out) in _words(phrasing) for held_out in (*HELD_OUT_PHRASINGS, *LATE_PHRASINGS)):
            return phrasing


def _words(phrasing: str) -> str:
    """Return a phrasing's words alone, to be found within another's."""
    return " ".join(["", *re.findall(r"[a-z']+|{}", phrasing.lower()), ""])


def capital_turn(country: str, phrasing: str) -> Turn:
    """Return the exchange about one country in one phrasing."""
    city, continent = CAPITALS[country]
    fact = f"The capital of {country} is {city}."
    thought = (
        f"The user asks for the capital of {country}. {_upper(country)} is a country in {continent}. {fact} "
        "I answer in one short sentence."
    )
    name = _upper(country) if phrasing.startswith("{}") else country
    return simple(phrasing.format(name), thought, f"{_upper(country)}: {city}.", fact)


def draw(source: random.Random, is_varied: bool = False) -> Turn:
    """Return a random exchange of the training set."""
    country = source.choice(tuple(CAPITALS))
    is_composed = is_varied and source.random() < 0.8
    return capital_turn(country, compose_phrasing(source) if is_composed else source.choice(PHRASINGS))


def _upper(name: str) -> str:
    return name[0].upper() + name[1:]
