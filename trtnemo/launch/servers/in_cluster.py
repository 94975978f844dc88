"""How a server is put into a cluster: what its pods need, how it spans nodes, how a worker of NVIDIA Dynamo runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trtnemo.findings import Finding
from trtnemo.launch.servers.invocation import Invocation

# which half of a server that is taken apart; None where one does both
Half = Literal["prefill", "decode"] | None
# Options of every worker of Dynamo, those that take a value first; from dynamo/common/configuration of ai-dynamo 1.6.1.
_VALUED_TEXT = """
    --namespace --endpoint --kv-state-endpoint --discovery-backend --request-plane --response-plane --event-plane
    --connector --dyn-tool-call-parser --dyn-reasoning-parser --dyn-default-thinking-mode --dyn-enable-structural-tag
    --dyn-structural-tag-scope --dyn-structural-tag-schema --dyn-structural-tag --custom-jinja-template --endpoint-types
    --dyn-endpoint-types --dump-config-to --multimodal-embedding-cache-capacity-gb --output-modalities
    --media-output-fs-url --media-output-http-url --health-check-payload --engine-request-limit --migration-limit
    --store-kv --disaggregation-mode --embedding-transfer-mode
"""
_FLAGS_TEXT = """
    --fpm-trace --exclude-tools-when-tool-choice-none --multimodal-embedding-cache-publisher --frontend-decoding
    --enable-multimodal --enable-rl --embedding-worker
"""
VALUED = frozenset(_VALUED_TEXT.split())
FLAGS = frozenset(_FLAGS_TEXT.split())


@dataclass(frozen=True)
class WorkerStart:
    """A server's start as Dynamo's worker takes it; `notes` say what of the recipe it leaves out."""

    options: Mapping[str, Any]
    llm_args: Mapping[str, Any] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DynamoWorker:
    """The worker of NVIDIA Dynamo around a server.

    module: what Python starts. image: of which repository. model_option: names the model. versions: the server's
    version by Dynamo's. start: what a half of a server is started with. valued, flags: its own options besides those of
    every worker; passed_on: those of every worker that the server reads too. spelled: names of its options that the
    server calls otherwise.
    """

    module: str
    image: str
    model_option: str
    versions: Mapping[str, str]
    start: Callable[[Invocation, Half], WorkerStart]
    valued: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    passed_on: frozenset[str] = frozenset()
    spelled: Mapping[str, str] = field(default_factory=dict)

    def parted(self, words: list[str]) -> tuple[list[str], dict[str, str]]:
        """Return the words that the server itself reads, and the worker's own options with their values."""
        rest: list[str] = []
        own: dict[str, str] = {}
        waiting = list(words)
        valued, flags = (VALUED | self.valued) - self.passed_on, (FLAGS | self.flags) - self.passed_on
        while waiting:
            name, equals, value = waiting.pop(0).partition("=")
            if name in valued:
                own[name] = value if equals else waiting.pop(0) if waiting else ""
            elif name in flags or name.replace("--no-", "--", 1) in flags:
                own[name] = ""
            else:
                rest.append(f"{self.spelled.get(name, name)}{equals}{value}")
        return rest, own


# of a server that has none; no word of a text is equal to this module
NO_WORKER = DynamoWorker("\0", "", "", {}, lambda invocation, half: WorkerStart(invocation.options))


@dataclass(frozen=True)
class NodeOptions:
    """How a server without a launcher spans nodes: options of every pod, and of all but the first.

    `{size}`, `{rank}` and `{leader}` stand for what each pod is told.
    """

    everywhere: Mapping[str, str]
    followers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HalvesCommand:
    """The server's own command that puts halves together from a file.

    words: the command up to the file's name. names: how it calls the workers of a half. of_half: a worker's file, made
    for its half. front_file: the file of the command, from host, port and the addresses of each half's workers.
    """

    words: tuple[str, ...]
    names: Mapping[Half, str]
    of_half: Callable[[dict[str, Any], Half], dict[str, Any]]
    front_file: Callable[[str, int, Mapping[Half, list[str]]], dict[str, Any]]


@dataclass(frozen=True)
class InCluster:
    """A server in pods.

    drain_option: takes the seconds that running requests have after SIGTERM. caches: variables that name directories of
    compiled kernels. halves: its command for halves, if it has one. metrics_need: what the start lacks for Prometheus,
    in words, or nothing. between: what is wrong with two halves together, the one of prompts first. elsewhere: what
    spans nodes where `nodes` is None.
    """

    worker: DynamoWorker = NO_WORKER
    nodes: NodeOptions | None = None
    elsewhere: str = ""
    drain_option: str | None = None
    caches: tuple[str, ...] = ()
    halves: HalvesCommand | None = None
    metrics_need: Callable[[Invocation], str] = lambda invocation: ""
    between: Callable[[Invocation, Invocation], list[Finding]] = lambda prefill, decode: []


def without(options: Mapping[str, Any], names: frozenset[str], silently: frozenset[str]) -> WorkerStart:
    """Return a start without some options; those that are not left out silently are noted."""
    kept = {name: value for name, value in options.items() if name not in names | silently}
    told = [name for name in options if name in names and name not in silently]
    notes = (f"Dynamo's worker takes no {', '.join(told)}: left out",) if told else ()
    return WorkerStart(kept, notes=notes)
