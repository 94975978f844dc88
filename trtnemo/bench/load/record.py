"""What a run leaves behind: a directory with run.json and, request by request, requests.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trtnemo.bench.folder import write_whole
from trtnemo.bench.load.shape import LoadShape
from trtnemo.errors import UsageError

RUN, REQUESTS = "run.json", "requests.jsonl"
Status = Literal["ok", "failed", "unfinished"]


class Part(BaseModel):
    """Base of everything in a record: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestRecord(Part):
    """One request; times in seconds since the first request of the run was sent.

    first, last: when its first and last token came; answer_first: the first token after thinking; thinking_only: it
    ended before any text but thinking came.
    """

    number: int
    warmup: bool
    status: Status
    sent: float
    first: float | None = None
    answer_first: float | None = None
    last: float | None = None
    done: float | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    thinking_only: bool = False
    error: str | None = None


class Server(Part):
    """What ran: version as the server says it, recipe, engine and code where it reports them, flags that changed it."""

    url: str
    model: str
    software: str | None = None
    version: str | None = None
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    recipe_digest: str | None = None
    engine_digest: str | None = None
    code_digest: str | None = None


class Counters(Part):
    """What the server counted while the run lasted; None where it does not say."""

    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    verifications: int | None = None
    cached_tokens: int | None = None
    prompt_tokens: int | None = None
    preemptions: int | None = None

    @property
    def acceptance(self) -> float | None:
        """Accepted drafts of all drafts."""
        return (
            self.accepted_tokens / self.drafted_tokens
            if self.drafted_tokens and self.accepted_tokens is not None
            else None
        )

    @property
    def tokens_per_verification(self) -> float | None:
        """Tokens that one verification yields: the target's own and the drafts that passed."""
        if not self.verifications or self.accepted_tokens is None:
            return None
        return 1 + self.accepted_tokens / self.verifications

    @property
    def cache_hits(self) -> float | None:
        """Prompt tokens that a kept prefix spared, of all prompt tokens."""
        return (
            self.cached_tokens / self.prompt_tokens if self.prompt_tokens and self.cached_tokens is not None else None
        )


class Prediction(Part):
    """The plan's bound for this load: tokens a second of all sequences, and of one."""

    tokens_per_second: float
    tokens_per_second_each: float
    bound: str


class RunRecord(Part):
    """One run: what was asked, of which server, on which machine, and what each request got.

    started: seconds since 1970; devices: accelerators, or 1 for a CPU.
    """

    version: Literal[1] = 1
    title: str = ""
    started: float
    shape: LoadShape
    server: Server
    machine: dict[str, str]
    devices: int = 1
    counters: Counters
    generator: str
    prompts_digest: str
    nonce: str = ""
    prediction: Prediction | None = None
    requests: tuple[RequestRecord, ...] = ()

    def save(self, directory: Path) -> None:
        """Write both files, run.json last: a directory without it is half-written."""
        directory.mkdir(parents=True, exist_ok=True)
        lines = "".join(request.model_dump_json(exclude_none=True) + "\n" for request in self.requests)
        (directory / REQUESTS).write_text(lines, encoding="utf-8")
        write_whole(directory / RUN, self.model_dump_json(exclude={"requests"}, indent=1))

    @classmethod
    def load(cls, directory: Path) -> RunRecord:
        """Read a run; raises UsageError when it is not there, half-written or another version's."""
        where = directory / RUN
        try:
            data = json.loads(where.read_text(encoding="utf-8"))
            lines = (directory / REQUESTS).read_text(encoding="utf-8").splitlines()
            return cls.model_validate({**data, "requests": [json.loads(line) for line in lines]})
        except FileNotFoundError:
            raise UsageError("is not a finished run", where=str(directory), remedy="Run it again") from None
        except (OSError, ValueError, TypeError, ValidationError) as error:
            detail = str(error).splitlines()[0]
            raise UsageError(f"cannot be read as a run: {detail}", where=str(where), remedy="Run it again") from None

    @classmethod
    def load_whole(cls, directory: Path) -> RunRecord | None:
        """Return a run, or None where there is none that can be read."""
        try:
            return cls.load(directory)
        except UsageError:
            return None


def find_runs(directory: Path) -> list[Path]:
    """Return the directories of all finished runs below one, in name order; raises UsageError when there is none."""
    found = sorted(file.parent for file in directory.rglob(RUN))
    if not found:
        raise UsageError("holds no finished run", where=str(directory))
    return found
