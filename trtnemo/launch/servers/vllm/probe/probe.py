"""Take a start through vLLM's own parser and configuration, on a device that is only stated; run by vLLM's Python.

Reads JSON from standard input, a list of {"words": the words after `vllm serve`, "model": a directory with config.json
or null, "capability": "10.0", "memory": bytes, "count": devices, "env": variables}. Prints one JSON line: {"version",
"answers": [{"reached": the last stage, "error"}]}. Compiled extensions are not loaded: no kernel runs.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import re
import sys
import tempfile
import types
from typing import Any
from unittest.mock import MagicMock

# what importing wants, and what neither parsing nor configuring uses
EMPTY = ("torchvision", "torchcodec", "torchaudio")
EXTENSION = re.compile(r"_\w*C(_\w+)?")
STATED: dict[str, Any] = {}
STAGES = ("nothing", "parser", "serve arguments", "model configuration", "engine configuration")


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives an empty module for packages of EMPTY that are missing, and for vLLM's compiled extensions."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return a specification for those names, and none for others."""
        is_extension = name.startswith("vllm.") and EXTENSION.fullmatch(name.rpartition(".")[2]) is not None
        if not is_extension and name.partition(".")[0] not in EMPTY:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=not is_extension)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return an empty module; those of EMPTY answer every name."""
        module = types.ModuleType(spec.name)
        if spec.name.partition(".")[0] in EMPTY:
            module.__dict__["__getattr__"] = lambda attribute: MagicMock()
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Do nothing."""


def install_stand_ins() -> None:
    """Let stand-ins take the place of missing packages and of extensions, whose questions of support are answered."""
    import importlib.util

    missing = tuple(name for name in EMPTY if importlib.util.find_spec(name) is None)
    globals()["EMPTY"] = missing
    from transformers.utils import is_torchvision_available  # type: ignore[attr-defined]

    is_torchvision_available()  # remembered by transformers, which must not take the stand-in for the package
    sys.meta_path.insert(0, StandIns())
    import torch._ops

    original = torch._ops._OpNamespace.__getattr__

    def answer(self: Any, name: str) -> Any:
        try:
            return original(self, name)
        except AttributeError:
            if "support" in name and self.name.startswith("_"):
                return lambda *_: True
            raise

    torch._ops._OpNamespace.__getattr__ = answer  # type: ignore[method-assign]


def state_device(asked: dict[str, Any]) -> None:
    """Let vLLM see the stated devices; its modules keep the platform that they found first, which reads STATED."""
    is_first = not STATED
    STATED.update(asked, capability=tuple(map(int, asked["capability"].split("."))))
    if not is_first:
        return
    import torch
    import vllm.platforms
    from vllm.platforms.cuda import CudaPlatformBase
    from vllm.platforms.interface import DeviceCapability

    class Stated(CudaPlatformBase):  # type: ignore[misc]
        """The platform of the stated devices."""

        get_device_capability = classmethod(lambda cls, device_id=0: DeviceCapability(*STATED["capability"]))
        get_device_name = classmethod(lambda cls, device_id=0: "stated device")
        get_device_total_memory = classmethod(lambda cls, device_id=0: STATED["memory"])
        get_device_uuid = classmethod(lambda cls, device_id=0: "stated")
        is_fully_connected = classmethod(lambda cls, physical_device_ids: True)
        device_count = classmethod(lambda cls: STATED["count"])
        log_warnings = classmethod(lambda cls: None)

    vllm.platforms.current_platform = Stated()
    torch.cuda.__dict__["device_count"] = lambda: STATED["count"]


def parser() -> Any:
    """Return the parser of `vllm serve`."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    for place in ("vllm.entrypoints.openai.cli_args", "vllm.entrypoints.common.cli_args"):
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if not place.startswith(error.name or "?"):
                raise
            continue
        return module.make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    raise SystemExit("vLLM's cli_args is in neither place")


def speaking(parser: Any) -> Any:
    """Return a parser that raises with its sentence where it would print it and exit."""

    def refuse(message: str) -> None:
        raise ValueError(message)

    parser.error = refuse
    return parser


def validate(arguments: Any) -> None:
    """Check what vLLM's server checks before it loads the model."""
    module = sys.modules.get("vllm.entrypoints.openai.cli_args") or sys.modules["vllm.entrypoints.common.cli_args"]
    arguments.subparser, arguments.model_tag = "serve", arguments.model
    module.validate_parsed_serve_args(arguments)
    from vllm.entrypoints.openai.api_server import validate_api_server_args
    from vllm.reasoning import ReasoningParserManager

    if getattr(arguments, "reasoning_parser_plugin", None):
        ReasoningParserManager.import_reasoning_parser(arguments.reasoning_parser_plugin)
    arguments.structured_outputs_config.reasoning_parser = arguments.reasoning_parser
    validate_api_server_args(arguments)


def run(asked: dict[str, Any]) -> tuple[str, str]:
    """Return the last stage that the start reached, and what ended it."""
    reached = STAGES[0]
    try:
        arguments = speaking(parser()).parse_args(asked["words"])
        reached = STAGES[1]
        if asked["model"] is not None:
            arguments.model = asked["model"]
        validate(arguments)
        reached = STAGES[2]
        if asked["model"] is None:
            return reached, ""
        import vllm.model_executor.models.registry as registry
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext

        registry._run_in_subprocess = lambda function: function()  # a child would have no stand-ins
        engine = AsyncEngineArgs.from_cli_args(arguments)
        engine.create_model_config()
        reached = STAGES[3]
        engine.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)
        return STAGES[4], ""
    except SystemExit as error:
        return reached, f"it exits with {error.code}"
    except Exception as error:
        return reached, f"{type(error).__name__}: {error}"


def main() -> None:
    """Answer every case."""
    cases = json.load(sys.stdin)
    sys.stdout, output = sys.stderr, sys.stdout
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"VLLM_CACHE_ROOT": folder, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        install_stand_ins()
        from importlib.metadata import version

        answers = []
        for asked in cases:
            os.environ |= asked["env"]
            state_device(asked)
            reached, error = run(asked)
            answers.append({"reached": reached, "error": error})
            for name in asked["env"]:
                os.environ.pop(name, None)
    print(json.dumps({"version": version("vllm"), "answers": answers}), file=output)


if __name__ == "__main__":
    main()
