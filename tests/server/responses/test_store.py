"""Responses that are kept, under caps in number, bytes and age."""

from __future__ import annotations

import pytest

from trtnemo.errors import RequestError, ResponseNotFoundError
from trtnemo.server.responses.store import ResponseStore, Stored


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def stored(text: str = "", owner: str = "a") -> Stored:
    return Stored(owner, lambda: {"output": text}, b"[]", b"[]")


def kept(store: ResponseStore, names: str) -> str:
    found = ""
    for name in names:
        try:
            store.get(name, "a")
            found += name
        except ResponseNotFoundError:
            continue
    return found


def test_the_newest_are_kept_by_number_bytes_and_age() -> None:
    clock = Clock()
    store = ResponseStore(3, 1000, 60, clock)
    for name in "abcd":
        store.put(name, stored())
        clock.now += 10
    assert kept(store, "abcd") == "bcd"
    store.put("e", stored("x" * 900))
    assert kept(store, "abcde") == "cde"
    clock.now = 95
    assert kept(store, "cde") == "e"
    clock.now = 101
    assert kept(store, "e") == ""
    store.put("f", stored("x" * 2000))
    assert kept(store, "f") == ""
    store.put("g", stored())  # nothing of what was dropped counts any more
    assert kept(store, "g") == "g"


def test_a_store_that_is_off_keeps_nothing() -> None:
    store = ResponseStore(0, 1000, 60)
    store.put("a", stored())
    assert not store.is_on
    assert kept(store, "a") == ""


def test_another_owner_neither_finds_nor_deletes() -> None:
    store = ResponseStore(3, 1000, 60)
    store.put("a", stored(owner="b"))
    with pytest.raises(ResponseNotFoundError):
        store.delete("a", "a")
    store.delete("a", "b")


def test_a_response_that_grew_counts_as_it_is_and_one_that_is_dropped_is_ended() -> None:
    store, ended = ResponseStore(9, 1000, 60, Clock()), []
    store.put("a", stored())
    running = stored()
    running.cancel = lambda: ended.append("b")
    store.put("b", running)
    store.settle("a", {"output": "x" * 980})  # no room is left for the older of both
    assert kept(store, "ab") == "b"
    assert store._bytes == store.get("b", "a").nbytes
    store.delete("b", "a")
    assert ended == ["b"]
    assert store._bytes == 0


def test_nothing_goes_on_from_a_response_that_is_not_complete() -> None:
    for status in ("queued", "in_progress"):
        unfinished = Stored("a", lambda: {"status": status, "output": []}, b"[]", b"[]")  # noqa: B023
        with pytest.raises(RequestError, match="not complete yet"):
            unfinished.conversation()
