"""Every way trtnemo can fail, as one tree.

    TrtnemoError                      exit code
    ├── UsageError                    2   the command line itself is wrong
    ├── RecipeError                   3   a recipe cannot be read or is not valid
    ├── CheckpointError               4   a checkpoint cannot be read
    │   ├── HeaderError                   a safetensors file lies about itself
    │   └── ModelConfigError              config.json describes no network we know
    ├── EngineError                   5   an engine directory is missing, damaged or edited
    │   ├── StepError                     a caller broke the executor's contract
    │   └── PrefixFileError               a file of prompt states is damaged
    │       └── ForeignFileError          or another program's, version's or engine's
    ├── MachineError                  6   this machine lacks what the command needs
    ├── ServerError                   7   the server could not start or went away
    │   ├── UnansweredError               no request of a load was answered
    │   └── MeasurementError              the measurement failed, not the server
    └── RequestError                  -   one request is refused; the server lives on
        ├── ModelNotFoundError
        ├── PromptTooLongError
        ├── ResponseNotFoundError
        ├── ConstraintError
        ├── BusyError
        ├── ReaderError
        └── EngineUnavailableError

Commands also exit with 1 for findings, a failed comparison or a regression, and `bench gate` with 9 where the runs
cannot decide. Each error says what is wrong, where, and what to do next. This module imports nothing of the package.
"""

from __future__ import annotations

from typing import TypeVar

# What a file or a client put into a message must not break the line or drive the terminal.
# The last two ranges order text from right to left, so that it reads as what it is not.
_DRIVING = (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
CONTROL_CHARACTERS = {code: repr(chr(code))[1:-1] for code in _DRIVING}


def one_line(text: str) -> str:
    """Return foreign text as it may stand in our output: control characters and lone surrogates written out."""
    return text.translate(CONTROL_CHARACTERS).encode("utf-8", "backslashreplace").decode()


Named = TypeVar("Named", bound="TrtnemoError")


class TrtnemoError(Exception):
    """Base of all errors that a user may see: what is wrong, where, and what to do next."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(self.render())

    def render(self) -> str:
        """Return the message as `where: what. remedy`, on one line."""
        message = f"{self.where}: {self.what}" if self.where else self.what
        if self.remedy:
            message += f" {self.remedy}" if message.endswith(("?", ".")) else f". {self.remedy}"
        return one_line(message)


class UsageError(TrtnemoError):
    """The command line asks for something that does not exist or does not go together."""

    exit_code = 2


class RecipeError(TrtnemoError):
    """A recipe cannot be read, has an unknown key, a wrong type or a value out of range."""

    exit_code = 3


class RenamedKeyWarning(FutureWarning):
    """A recipe uses the old name of a key, which the next release no longer reads."""


class CheckpointError(TrtnemoError):
    """A checkpoint cannot be found, opened or understood."""

    exit_code = 4


class HeaderError(CheckpointError):
    """A safetensors file is truncated, overlaps itself, or describes bytes that it does not hold."""


class ModelConfigError(CheckpointError):
    """config.json is unreadable or describes a network outside the Nemotron-H family."""


class EngineError(TrtnemoError):
    """An engine directory is missing, incomplete, damaged, or of a format this version cannot read."""

    exit_code = 5


class StepError(EngineError):
    """A step batch does not fit the executor's budget or the state of its slots."""


class PrefixFileError(EngineError):
    """A file of prompt states is damaged: it is not used, and removed."""


class ForeignFileError(PrefixFileError):
    """A file among those of prompt states is another program's, version's or engine's: it is left alone."""


class DeviceLostError(EngineError):
    """A device gives errors for everything until the process that uses it has ended."""


class MachineError(TrtnemoError):
    """Something the command needs is missing on this machine: a package, a device, a compiler, disk space."""

    exit_code = 6


class ServerError(TrtnemoError):
    """The server could not start, or stopped answering."""

    exit_code = 7


class UnansweredError(ServerError):
    """A load was sent, and not one of its requests was answered."""


class MeasurementError(ServerError):
    """Measuring itself failed, by a clock that jumped or a record that was lost, which says nothing of any server."""


def error_named(name: str, base: type[Named]) -> type[Named] | None:
    """Return the error of this tree that another process names, None where none below `base` has the name."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, base) else None


class RequestError(TrtnemoError):
    """One request is refused; `status` is the HTTP code and `parameter` the field at fault."""

    status = 400
    code = "invalid_request_error"

    def __init__(self, what: str, *, parameter: str | None = None, remedy: str | None = None) -> None:
        self.parameter = parameter
        super().__init__(what, remedy=remedy)


class ModelNotFoundError(RequestError):
    """The request names a model that this server does not serve."""

    status = 404
    code = "model_not_found"


class ConstraintError(RequestError):
    """The answer's schema, pattern or grammar cannot be kept."""

    code = "unsupported_constraint"


class BusyError(RequestError):
    """As many requests wait as this server lets wait; the same request may be sent again later."""

    status = 429
    code = "rate_limit_exceeded"


class EngineUnavailableError(RequestError):
    """The engine is down, or went away under the request; it is started again, and the request may be sent again."""

    status = 503
    code = "engine_unavailable"


class ReaderError(RequestError):
    """The process that reads long bodies went away over one, and so did a second; the next body gets another one."""

    status = 503
    code = "reader_unavailable"


class ResponseNotFoundError(RequestError):
    """No response of that id is kept, or it is another key's."""

    status = 404
    code = "response_not_found"


class PromptTooLongError(RequestError):
    """The prompt and the tokens asked for do not fit the context of the engine."""

    code = "context_length_exceeded"
