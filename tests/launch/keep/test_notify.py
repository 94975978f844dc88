"""States told to systemd reach a socket of its kind, and nobody where it did not ask."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from trtnemo.launch.keep.told.notify import notify


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_state_is_sent_to_the_socket_that_systemd_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_abstract: bool
) -> None:
    name = f"@trtnemo-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name[1:]}" if is_abstract else name)
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1\nSTATUS=serving")
        assert listening.recv(1024) == b"READY=1\nSTATUS=serving"


@pytest.mark.parametrize("name", [None, "", "/nowhere/at/all", "@trtnemo-nobody-listens", "no-path"])
def test_where_nobody_asked_or_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if name is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")
