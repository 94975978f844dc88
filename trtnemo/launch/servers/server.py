"""The protocol of an external server: all that the rest of trtnemo asks of one.

A server is a folder here: `dialect.py` (DIALECT), `server.py` (SERVER, one object of a class below), its memory, its
known issues and its recorded surfaces. The list of names is `recipe/external.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from trtnemo.findings import Finding
from trtnemo.launch.servers.in_cluster import InCluster
from trtnemo.launch.servers.invocation import Invocation, StartFile
from trtnemo.launch.servers.issue import KnownIssue
from trtnemo.launch.servers.log_stages import STAGES, Stage
from trtnemo.launch.servers.surface import Dialect, Surface
from trtnemo.launch.servers.watch import Watch
from trtnemo.plan.hardware import Device
from trtnemo.plan.network import Network
from trtnemo.plan.server_memory import ServerMemory


@dataclass(frozen=True)
class LoggedStart:
    """What a server's log says that it was started with: options by name without dashes, and its version."""

    model: str
    options: Mapping[str, Any]
    version: str | None


@dataclass(frozen=True)
class Several:
    """Servers that one file puts together: content of each one's own file by its name, their model, and findings."""

    form: str
    model: str
    files: Mapping[str, Mapping[str, Any]]
    findings: tuple[Finding, ...] = ()


class Server:
    """One external server. Class attributes are its facts; methods are what only it can answer.

    module, package: what Python calls it, for `doctor`. image: what the names of its container images contain.
    neutral: a recipe's neutral field -> its option, or the dotted key of its file; "" where `special` writes it; a
    field that is absent has no equal. metrics: uniform name -> its own in its text for Prometheus. health: the path
    that answers 200 when it is up; watch: how a running one is watched; in_cluster: how its pods are made. probe: the
    script that asks an installed one, run by its own Python. proof: what of its recipes was shown, for `doctor`.
    faulty_streams_until: the last version whose streams leave the answer among the thinking (gateway/repair.py).
    """

    dialect: ClassVar[Dialect]
    program: ClassVar[str]
    module: ClassVar[str]
    package: ClassVar[str]
    image: ClassVar[str]
    neutral: ClassVar[Mapping[str, str]]
    memory: ClassVar[ServerMemory]
    in_cluster: ClassVar[InCluster] = InCluster()
    issues: ClassVar[tuple[KnownIssue, ...]] = ()
    stages: ClassVar[tuple[Stage, ...]] = STAGES
    health: ClassVar[str] = "/health"
    faulty_streams_until: ClassVar[str | None] = None
    watch: ClassVar[Watch] = Watch()
    file_option: ClassVar[str | None] = None
    config_option: ClassVar[str | None] = "--config"
    parallel_options: ClassVar[tuple[str, str]] = ("--tensor-parallel-size", "--pipeline-parallel-size")
    metrics: ClassVar[Mapping[str, str]] = {}
    probe: ClassVar[Path | None] = None
    proof: ClassVar[str] = "only compared with recorded options"

    def spelled(self, field: str, value: Any) -> Any:
        """Return a neutral field's value as the server spells it; raises RecipeError where it has no such value."""
        return value

    def special(self, field: str, value: Any, surface: Surface) -> dict[str, Any]:
        """Return options (names that begin with dashes) and keys of the file that a neutral field becomes."""
        return {}

    def implied(self, option: str, value: Any) -> dict[str, Any]:
        """Return the options that one set by a neutral field brings with it."""
        return {}

    def start(self, **fields: Any) -> Invocation:
        """Return the invocation of these fields, with the files that it needs."""
        invocation = Invocation(**fields)
        return replace(invocation, files=tuple(self.files(invocation)))

    def files(self, invocation: Invocation) -> list[StartFile]:
        """Return the files that this start needs."""
        return []

    def replaced(self, invocation: Invocation) -> frozenset[str]:
        """Return the options of a pasted command that name a file which one of ours takes the place of."""
        return frozenset()

    def words_after_start(self, words: Sequence[str]) -> list[str] | None:
        """Return the words after the program where `words` begin a start of this server, or None.

        That they do is told by the first three at most.
        """
        raise NotImplementedError

    def logged_start(self, text: str) -> LoggedStart | None:
        """Return the start that a log of this server tells of, or None."""
        return None

    def file_of_several(self, words: Sequence[str]) -> str | None:
        """Return the file of a command that puts several of these servers together, or None."""
        return None

    def several(self, content: Mapping[str, Any]) -> Several | None:
        """Return the servers that such a file describes, or None where it is none."""
        return None

    def deployment(self, invocation: Invocation, network: Network) -> dict[str, Any]:
        """Return what a plan needs to know of a start, with the server's own defaults; raises RecipeError."""
        raise NotImplementedError

    def sizes_on(self, device: Device | None, invocation: Invocation) -> dict[str, Any]:
        """Return what of a deployment the server chooses by the device, where the start does not say it."""
        return {}

    def parallel_sizes(self, invocation: Invocation) -> tuple[Any, Any]:
        """Return (tensor, pipeline) parallel sizes as given, 1 by default."""
        tensor, pipeline = (invocation.option(name) or 1 for name in self.parallel_options)
        return tensor, pipeline

    def replicas(self, invocation: Invocation) -> Any:
        """Return how many copies of the model one start runs on GPUs of their own."""
        return 1

    def issues_of(self, version: str) -> tuple[KnownIssue, ...]:
        """Return the known issues of a version."""
        return tuple(issue for issue in self.issues if issue.affects(version))
