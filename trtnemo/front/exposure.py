"""Whether a server would be open to others without a key."""

from __future__ import annotations

import ipaddress

from trtnemo.errors import UsageError


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Return whether a Host is an address, or this machine's own name; none at all is neither."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return is_loopback(host)
    return True


def require_guarded(host: str, *, has_keys: bool, insecure: bool) -> None:
    """Raise UsageError where a server would listen beyond this machine, and anybody could use it."""
    if not (has_keys or insecure or is_loopback(host)):
        raise UsageError(
            f"listening on {host} without keys would let anybody use this server",
            remedy="Give --api-key-file FILE, or --insecure where a network of your own or a proxy guards it",
        )
