"""Sockets, and who may reach them."""

from __future__ import annotations

import resource
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from trtnemo.errors import ServerError, UsageError
from trtnemo.front.exposure import is_loopback, require_guarded
from trtnemo.front.http.descriptors import RESERVE, connections_within
from trtnemo.front.listen import bind_unix, listen, url_of


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "my.localhost"])
def test_this_machines_own_addresses_need_no_keys(host: str) -> None:
    assert is_loopback(host)
    require_guarded(host, has_keys=False, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.org", "localhost.example.org", ""])  # noqa: S104
def test_others_need_keys_or_the_word_of_their_operator(host: str) -> None:
    with pytest.raises(UsageError, match="--api-key-file FILE, or --insecure"):
        require_guarded(host, has_keys=False, insecure=False)
    require_guarded(host, has_keys=True, insecure=False)
    require_guarded(host, has_keys=False, insecure=True)


def test_a_socket_of_a_path_is_taken_over_from_a_server_that_was_killed_and_from_no_other() -> None:
    with tempfile.TemporaryDirectory() as directory:  # paths of sockets are short
        path = Path(directory) / "s"
        first = bind_unix(path)
        listen(first)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(ServerError, match="Address already in use"):
            bind_unix(path)
        first.close()
        second = bind_unix(path)
        listen(second)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        second.close()
        path.unlink()
        path.write_text("not a socket")
        with pytest.raises(ServerError, match="cannot listen"):
            bind_unix(path)
        assert path.read_text() == "not a socket"


def test_an_address_is_written_as_a_client_opens_it() -> None:
    assert url_of("::1", 80) == "http://[::1]:80"
    assert url_of("h", 443, "https") == "https://h:443"


def test_connections_fit_into_the_files_that_a_process_may_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert connections_within(10) == 10
        assert connections_within(10**9) <= 65_536 - RESERVE
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= soft
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
