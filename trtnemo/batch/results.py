"""The output of a batch: one result a line, appended whole, so that a killed run loses and doubles nothing."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from trtnemo.batch.send import failure
from trtnemo.errors import MachineError, UsageError


class ResultFile:
    """Results so far, under a lock; a line that a killed run left half is cut off when the file is opened."""

    def __init__(self, path: Path, known: frozenset[str], *, retry_failed: bool = False) -> None:
        """Open or create the file; `known` are the input's ids. Raises UsageError on a file of something else."""
        self.path = path.resolve()  # a link stays one
        self.done: set[str] = set()
        self.failed = 0
        self._file = self._lock()
        try:
            self._cut_half_line()
            if retry_failed:
                self._drop_failed()
            self._read(known)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def append(self, custom_id: str, response: dict[str, Any]) -> None:
        """Write one result in OpenAI's form; raises MachineError when the disk is full."""
        row = {"id": f"batch_req_{secrets.token_hex(12)}", "custom_id": custom_id, "response": response, "error": None}
        # surrogates that no encoding takes stay escapes, as they came
        try:
            line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        except RecursionError:
            row = {**row, "response": failure(502, "invalid_response", "an answer too deeply nested to be written")}
            line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as problem:
            raise MachineError(f"cannot be written: {problem.strerror}", where=str(self.path)) from None
        if written < len(line):
            raise MachineError("the disk is full", where=str(self.path), remedy="Free space and run the command again")
        self.done.add(custom_id)
        self.failed += not _is_success(row)

    def _lock(self) -> int:
        try:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"cannot be opened: {error.strerror}", where=str(self.path)) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise UsageError("another run is writing this file", where=str(self.path)) from None
        return file

    def _cut_half_line(self) -> None:
        size = end = os.fstat(self._file).st_size
        while end > 0:
            start = max(0, end - 65536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)

    def _read(self, known: frozenset[str]) -> None:
        for number, row in enumerate(self._rows(), 1):
            name, where = row["custom_id"], f"{self.path}:{number}"
            if name not in known:
                remedy = "This is another batch's output; name another file"
                raise UsageError(f"custom_id '{name}' is not in the input", where=where, remedy=remedy)
            if name in self.done:
                raise UsageError(f"custom_id '{name}' stands twice", where=where)
            self.done.add(name)
            self.failed += not _is_success(row)

    def _drop_failed(self) -> None:
        """Leave out what failed: a copy takes the file's place at once, and is locked like it."""
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as copy, self.path.open("rb") as file:
                os.fchmod(copy.fileno(), os.fstat(self._file).st_mode & 0o777)
                copy.writelines(line for line, row in zip(file, self._rows(), strict=True) if _is_success(row))
            os.replace(temporary, self.path)
        finally:
            temporary.unlink(missing_ok=True)
        old, self._file = self._file, self._lock()
        os.close(old)

    def _rows(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield self._row(line, number)

    def _row(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
            if isinstance(row["custom_id"], str) and isinstance(row["response"]["status_code"], int):
                return dict(row)
        except (ValueError, LookupError, TypeError):
            pass
        raise UsageError("is not a result of a batch", where=f"{self.path}:{number}", remedy="Name another output file")


def _is_success(row: dict[str, Any]) -> bool:
    return 200 <= int(row["response"]["status_code"]) < 300
