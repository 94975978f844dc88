"""Where a supervised server answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where a server answers, under which name and with which key, and the seconds that a start may take."""

    url: str
    model: str
    start_seconds: float
    health: str = "/health"
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What it is sent so that it takes a question of ours."""
        return {} if self.key is None else {"authorization": f"Bearer {self.key}"}
