"""Functions as a textbook has them, written for the prompt set `code` of `trtnemo bench`; nothing imports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


def binary_search(values: list[int], wanted: int) -> int:
    """Return the index of a value in a sorted list, or -1."""
    low, high = 0, len(values) - 1
    while low <= high:
        middle = (low + high) // 2
        if values[middle] == wanted:
            return middle
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return -1


def merge_sort(values: list[int]) -> list[int]:
    """Return the values in order."""
    if len(values) < 2:
        return list(values)
    middle = len(values) // 2
    left, right = merge_sort(values[:middle]), merge_sort(values[middle:])
    merged = []
    while left and right:
        merged.append(left.pop(0) if left[0] <= right[0] else right.pop(0))
    return merged + left + right


def sieve(limit: int) -> list[int]:
    """Return the primes below a limit."""
    is_prime = [True] * limit
    for number in range(2, limit):
        if not is_prime[number]:
            continue
        for multiple in range(number * number, limit, number):
            is_prime[multiple] = False
    return [number for number in range(2, limit) if is_prime[number]]


def edit_distance(first: str, second: str) -> int:
    """Return the least number of insertions, deletions and replacements that make one word of another."""
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            kept = before + (letter != other)
            before = row[j]
            row[j] = min(kept, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def roman(number: int) -> str:
    """Return a number in Roman digits."""
    digits = {
        1000: "M", 900: "CM", 500: "D", 400: "CD", 100: "C", 90: "XC", 50: "L", 40: "XL", 10: "X", 9: "IX", 5: "V",
        4: "IV", 1: "I",
    }  # fmt: skip
    text = ""
    for value, letters in digits.items():
        while number >= value:
            text += letters
            number -= value
    return text


def shortest_path(roads: dict[str, dict[str, float]], start: str, end: str) -> list[str]:
    """Return the towns on the shortest way between two, or an empty list."""
    best: dict[str, tuple[float, list[str]]] = {start: (0.0, [start])}
    open_towns = {start}
    while open_towns:
        town = min(open_towns, key=lambda name: best[name][0])
        open_towns.remove(town)
        length, path = best[town]
        if town == end:
            return path
        for neighbour, distance in roads.get(town, {}).items():
            if neighbour not in best or length + distance < best[neighbour][0]:
                best[neighbour] = (length + distance, [*path, neighbour])
                open_towns.add(neighbour)
    return []


def run_lengths(text: str) -> list[tuple[str, int]]:
    """Return each letter of a text with how often it stands in a row."""
    runs: list[tuple[str, int]] = []
    for letter in text:
        if runs and runs[-1][0] == letter:
            runs[-1] = (letter, runs[-1][1] + 1)
        else:
            runs.append((letter, 1))
    return runs


def is_balanced(text: str) -> bool:
    """Return whether every bracket of a text is closed in the right order."""
    pairs = {")": "(", "]": "[", "}": "{"}
    stack = []
    for letter in text:
        if letter in pairs.values():
            stack.append(letter)
        elif letter in pairs and (not stack or stack.pop() != pairs[letter]):
            return False
    return not stack


def wrap_words(text: str, width: int) -> list[str]:
    """Return a text in lines no longer than a width, broken between words."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines


def moving_average(values: Iterable[float], size: int) -> Iterator[float]:
    """Yield the mean of the last values at each one."""
    window: list[float] = []
    total = 0.0
    for value in values:
        window.append(value)
        total += value
        if len(window) > size:
            total -= window.pop(0)
        yield total / len(window)


def bisect_root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Return where a function crosses zero between two points of different sign."""
    if function(low) * function(high) > 0:
        raise ValueError("the function has the same sign at both ends")
    while high - low > tolerance:
        middle = (low + high) / 2
        if function(low) * function(middle) <= 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def count_islands(grid: list[list[int]]) -> int:
    """Return how many groups of ones touch each other by their sides."""
    left = {(row, column) for row, line in enumerate(grid) for column, cell in enumerate(line) if cell}
    islands = 0
    while left:
        islands += 1
        stack = [left.pop()]
        while stack:
            row, column = stack.pop()
            for place in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if place in left:
                    left.remove(place)
                    stack.append(place)
    return islands


def topological_order(needs: dict[str, set[str]]) -> list[str]:
    """Return tasks so that each comes after all that it needs."""
    order: list[str] = []
    left = {task: set(before) for task, before in needs.items()}
    while left:
        ready = sorted(task for task, before in left.items() if not before)
        if not ready:
            raise ValueError("the tasks need each other in a circle")
        for task in ready:
            del left[task]
            order.append(task)
        for before in left.values():
            before.difference_update(ready)
    return order


def make_change(amount: int, coins: list[int]) -> list[int]:
    """Return the fewest coins that make an amount."""
    best: list[list[int] | None] = [[]] + [None] * amount
    for value in range(1, amount + 1):
        for coin in coins:
            rest = best[value - coin] if coin <= value else None
            current = best[value]
            if rest is not None and (current is None or len(rest) + 1 < len(current)):
                best[value] = [*rest, coin]
    found = best[amount]
    if found is None:
        raise ValueError(f"no coins make {amount}")
    return found


def parse_intervals(text: str) -> list[tuple[int, int]]:
    """Return the intervals of a text such as `1-3, 7, 10-12`."""
    intervals = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        start = int(first)
        end = int(last) if dash else start
        if end < start:
            raise ValueError(f"{part.strip()} ends before it begins")
        intervals.append((start, end))
    return intervals


def caesar(text: str, shift: int) -> str:
    """Return a text with each letter moved along the alphabet."""
    moved = []
    for letter in text:
        if letter.isascii() and letter.isalpha():
            first = ord("a") if letter.islower() else ord("A")
            moved.append(chr((ord(letter) - first + shift) % 26 + first))
        else:
            moved.append(letter)
    return "".join(moved)


def transpose(rows: list[list[float]]) -> list[list[float]]:
    """Return a table with its rows as columns; short rows are filled with zeros."""
    width = max((len(row) for row in rows), default=0)
    columns: list[list[float]] = []
    for column in range(width):
        values = []
        for row in rows:
            values.append(row[column] if column < len(row) else 0.0)
        columns.append(values)
    return columns


def life(alive: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the cells that live after one step of the game of life."""
    neighbours: dict[tuple[int, int], int] = {}
    for x, y in alive:
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                if dx or dy:
                    place = (x + dx, y + dy)
                    neighbours[place] = neighbours.get(place, 0) + 1
    return {place for place, count in neighbours.items() if count == 3 or (count == 2 and place in alive)}


def longest_run(values: list[int]) -> list[int]:
    """Return the longest stretch of values that only rise."""
    best: list[int] = []
    current: list[int] = []
    for value in values:
        if current and value <= current[-1]:
            current = []
        current.append(value)
        if len(current) > len(best):
            best = list(current)
    return best


def group_anagrams(words: Iterable[str]) -> list[list[str]]:
    """Return words in groups that have the same letters, in the order in which each group began."""
    groups: dict[str, list[str]] = {}
    for word in words:
        key = "".join(sorted(word.lower()))
        if key not in groups:
            groups[key] = []
        if word not in groups[key]:
            groups[key].append(word)
    return list(groups.values())
