"""Take a start through SGLang's own parser and its checks of arguments, on a stated device; run by SGLang's Python.

Reads JSON from standard input, a list of {"words": the words after its module, "model": a directory with config.json or
null, "capability": "10.0", "memory": bytes, "count": devices, "env": variables}. Prints one JSON line: {"version",
"answers": [{"reached": the last stage, "error"}]}. Kernel packages that are missing are stood in for: no kernel runs.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import types
from importlib.metadata import version
from typing import Any, NoReturn
from unittest.mock import MagicMock

EMPTY = ("torchvision", "torchcodec", "torchaudio", "sgl_kernel", "flashinfer", "deep_gemm")


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a module that answers every name for each package of `missing`."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        self.missing = missing

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return a specification for those names, and none for others."""
        known = name.partition(".")[0] in self.missing
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return a module whose every attribute is a mock."""
        module = types.ModuleType(spec.name)
        module.__dict__["__getattr__"] = lambda attribute: MagicMock()
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Do nothing."""


def state_device(asked: dict[str, Any]) -> None:
    """Let SGLang see the stated devices through torch."""
    import torch

    capability, memory = tuple(map(int, asked["capability"].split("."))), asked["memory"]
    shown = types.SimpleNamespace(
        total_memory=memory, major=capability[0], minor=capability[1], multi_processor_count=132, name="stated device"
    )
    torch.version.cuda = torch.version.cuda or "13.0"
    stated = {
        "is_available": lambda: True,
        "device_count": lambda: asked["count"],
        "current_device": lambda: 0,
        "get_device_capability": lambda *_, **__: capability,
        "get_device_name": lambda *_, **__: shown.name,
        "mem_get_info": lambda *_, **__: (memory, memory),
        "get_device_properties": lambda *_, **__: shown,
    }
    for name, answer in stated.items():
        setattr(torch.cuda, name, answer)


def refuse(message: str) -> NoReturn:
    """Raise with the sentence that the parser would print before it exits."""
    raise ValueError(message)


def run(asked: dict[str, Any]) -> tuple[str, str]:
    """Return the last stage that the start reached, and what ended it."""
    reached = "nothing"
    try:
        import sglang.srt.server_args as module

        parser = argparse.ArgumentParser(prog="sglang serve")
        module.ServerArgs.add_cli_args(parser)
        words = list(asked["words"])
        parser.error = refuse  # type: ignore[method-assign]
        parser.parse_args(words)
        reached = "parser"
        if asked["model"] is None:
            return reached, ""
        if hasattr(module, "get_device_memory_capacity"):
            module.get_device_memory_capacity = lambda *_, **__: asked["memory"] / (1 << 20)
        place = words.index("--model-path") + 1
        words[place] = asked["model"]
        arguments = module.prepare_server_args(words)
        if hasattr(arguments, "resolve_once"):
            arguments.resolve_once()
        elif hasattr(arguments, "check_server_args"):
            arguments.check_server_args()
        return "server arguments", ""
    except SystemExit as error:
        return reached, f"it exits with {error.code}"
    except Exception as error:
        return reached, f"{type(error).__name__}: {error}"


def main() -> None:
    """Answer every case."""
    cases = json.load(sys.stdin)
    sys.stdout, output = sys.stderr, sys.stdout
    os.environ["HF_HUB_OFFLINE"] = "1"
    missing = tuple(name for name in EMPTY if importlib.util.find_spec(name) is None)
    from transformers.utils import is_torchvision_available  # type: ignore[attr-defined]

    is_torchvision_available()  # remembered by transformers, which must not take the stand-in for the package
    sys.meta_path.append(StandIns(missing))
    answers = []
    for asked in cases:
        os.environ |= asked["env"]
        state_device(asked)
        reached, error = run(asked)
        answers.append({"reached": reached, "error": error})
        for name in asked["env"]:
            os.environ.pop(name, None)
    print(json.dumps({"version": version("sglang"), "answers": answers}), file=output)


if __name__ == "__main__":
    main()
