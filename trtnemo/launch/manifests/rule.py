"""What one rule on manifests is, and where rules are found."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import Object, Pod, pods_of


@dataclass(frozen=True)
class Manifest:
    """All objects of a text, and the pods in them."""

    objects: tuple[Object, ...]

    @functools.cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The pods of all objects."""
        return tuple(pod for owner in self.objects for pod in pods_of(owner))


# Yields a finding for each place where a manifest breaks the rule.
Rule = Callable[[Manifest], Iterable[Finding]]


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, out of the RULES of the modules beside this one's folder `rules`."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "rules")]))
    modules = [importlib.import_module(f"{__package__}.rules.{name}") for name in names]
    return tuple(rule for module in modules for rule in module.RULES)
