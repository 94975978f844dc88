"""The records of what server versions take."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.version import Version

from tests.support.paths import ROOT
from trtnemo.errors import RecipeError
from trtnemo.launch.servers.surface import choose_surface, load_surface, recorded_versions
from trtnemo.recipe.external import EXTERNAL

# the files are the truth: what the package lists is compared with them
SERVERS = {
    server: sorted(
        (path.stem.removeprefix("surface-") for path in (ROOT / "trtnemo/launch/servers" / server).glob("surface-*")),
        key=Version,
    )
    for server in EXTERNAL
}
ALL = [(server, version) for server, versions in SERVERS.items() for version in versions]


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_is_recorded_in_two_versions_oldest_first(server: Any) -> None:
    assert recorded_versions(server) == SERVERS[server]
    assert len(SERVERS[server]) >= 2


@pytest.mark.parametrize(("server", "version"), ALL)
def test_a_record_holds_together(server: Any, version: Any) -> None:
    surface = load_surface(server, version)
    assert (surface.server, surface.version) == (server, version)
    if "published wheel" in surface.evidence:
        assert surface.evidence.endswith(f" {server}-{version}")
    names = [name for option in surface.options for name in option.names]
    assert len(names) == len(set(names)) > 30
    assert surface.environment
    for option in surface.options:
        assert not isinstance(option.default, str) or not option.choices or option.default in option.choices
    for fields in surface.classes.values():
        for spec in fields.values():
            assert spec.get("class") is None or spec["class"] in surface.classes
            assert spec["types"]
    for union in surface.unions.values():
        assert set(union["classes"].values()) <= surface.classes.keys()


@pytest.mark.parametrize(
    ("server", "asked", "chosen", "exact"),
    [
        ("vllm", "0.20.0", "0.20.0", True),
        ("vllm", "0.21.0", "0.20.0", False),
        ("vllm", "0.15.1", "0.20.0", False),
        ("vllm", "0.40.0", "0.33.0", False),
        ("trtllm", "1.3.0rc12", "1.3.0rc12", True),
        ("trtllm", "1.3.0rc9", "1.3.0rc12", False),
        ("trtllm", "1.4.0rc1", "1.4", True),
        ("trtllm", "1.3.0rc14", "1.3.0rc12", False),
        ("vllm", "0.33.0rc1", "0.33.0", False),
        ("trtllm", "1.4.0", "1.4", True),
        ("sglang", None, "0.5.10", False),
    ],
)
def test_the_nearest_record_that_is_not_newer_speaks_for_a_version(
    server: str, asked: str | None, chosen: str, exact: bool
) -> None:
    choice = choose_surface(server, asked)
    assert (choice.surface.version, choice.is_exact) == (chosen, exact)


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"'vllm\.version' 'newest' is not a version.*0\.20\.0, 0\.22\.0, 0\.33\.0"):
        choose_surface("vllm", "newest")


def test_precedence_and_known_differences_of_versions() -> None:
    """Facts that the issue names: they would be lost by a careless new recording."""
    assert load_surface("trtllm", "1.3.0rc12").precedence == "file"
    assert load_surface("trtllm", "1.4").precedence == "typed"
    assert load_surface("vllm", "0.20.0").find("--swap-space") is None
    assert load_surface("vllm", "0.20.0").find("--mamba_ssm_cache_dtype") is not None
    assert load_surface("sglang", "0.5.10").find("--disable-piecewise-cuda-graph") is not None
    assert load_surface("sglang", "0.5.23").find("--disable-piecewise-cuda-graph") is None
