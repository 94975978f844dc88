"""What the draft head's cache has yet to take in, by slot."""

from __future__ import annotations

from trtnemo.backends.feeds import Feed


class WaitingFeeds:
    """Feeds of all slots in the order they came; each slot's begin where its last one ended."""

    def __init__(self) -> None:
        self._feeds: dict[int, list[Feed]] = {}

    @property
    def tokens(self) -> int:
        """Tokens of all of them."""
        return sum(self.length(slot) for slot in self._feeds)

    def length(self, slot: int) -> int:
        """Return the tokens of a slot's."""
        return sum(len(feed.token_ids) for feed in self._feeds.get(slot, []))

    def add(self, feed: Feed) -> None:
        """Keep one."""
        self._feeds.setdefault(feed.slot, []).append(feed)

    def take(self, slot: int) -> list[Feed]:
        """Return a slot's, and keep them no more."""
        return self._feeds.pop(slot, [])

    def take_all(self) -> dict[int, list[Feed]]:
        """Return all, and keep none."""
        found, self._feeds = self._feeds, {}
        return found
