"""The log of a vLLM start: what it says of its arguments that are not the defaults."""

from __future__ import annotations

import ast
import re
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.launch.servers.server import LoggedStart

_ARGUMENTS = re.compile(r"non-default args: (\{.*\})")
_VERSION = re.compile(r"vLLM API server version (\d+\.\d+\.\d+)")
_MODEL = ("model", "model_tag")


def read_start_log(text: str) -> LoggedStart | None:
    """Return the start that a log tells of, or None where it tells of none; raises UsageError for a line cut off."""
    found = _ARGUMENTS.findall(text)
    if not found:
        return None
    try:
        content: Any = ast.literal_eval(found[0])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise UsageError("the arguments in the log are cut off, or hold objects", where="--command") from None
    models = [content.get(key) for key in _MODEL] if isinstance(content, dict) else []
    model = next((name for name in models if isinstance(name, str)), None)
    if model is None:
        raise UsageError("the arguments in the log name no model", where="--command")
    options = {str(key): value for key, value in content.items() if key not in _MODEL and value is not False}
    switched_off = {f"no-{key}": True for key, value in content.items() if value is False}
    version = _VERSION.search(text)
    return LoggedStart(model, {**options, **switched_off}, version[1] if version else None)
