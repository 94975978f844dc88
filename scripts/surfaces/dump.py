"""Print what a server's own argument parser takes, as JSON. Runs inside the environment that `record.py` makes.

usage: python dump.py vllm|sglang

The parsers are the real ones, imported from the published wheel. Where an import needs a package that no option depends
on (image decoding, GPU kernels), an empty module stands in for it.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import importlib
import importlib.abc
import importlib.machinery
import json
import sys
import types
import typing
from importlib.metadata import version
from typing import Any
from unittest.mock import MagicMock

EMPTY = ("torchvision", "torchcodec", "torchaudio")


class EmptyPackages(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives an empty module for every name below EMPTY."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return a specification for names below EMPTY, and none for others."""
        if name.partition(".")[0] not in EMPTY:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return a module whose every attribute is a mock."""
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda attribute: MagicMock()  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Do nothing: the module stays empty."""


def stand_in_for_missing_packages() -> None:
    """Let empty modules stand in for packages that importing the parser wants and parsing never uses."""
    from transformers.utils import is_torchvision_available

    is_torchvision_available()  # remembered by transformers, which must not take the stand-in for the package
    sys.meta_path.append(EmptyPackages())


def vllm_parser() -> argparse.ArgumentParser:
    """Return the parser of `vllm serve`, built on vLLM's CPU platform."""
    import vllm.platforms
    from vllm.platforms.cpu import CpuPlatform

    vllm.platforms.current_platform = CpuPlatform()
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    for place in ("vllm.entrypoints.openai.cli_args", "vllm.entrypoints.common.cli_args"):
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if not place.startswith(error.name or "?"):
                raise
            continue
        parser: argparse.ArgumentParser = module.make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
        return parser
    raise SystemExit("vLLM's cli_args is in neither place")


def sglang_parser() -> argparse.ArgumentParser:
    """Return the parser of `sglang.launch_server`."""
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser(prog="sglang serve")
    ServerArgs.add_cli_args(parser)
    return parser


def describe(action: argparse.Action) -> dict[str, Any]:
    """Return one option: its names, how many values it takes, their type and choices, and its default."""
    record: dict[str, Any] = {"names": list(action.option_strings) or [action.dest]}
    if not action.option_strings:
        record["positional"] = True
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        record["kind"] = "switch" if isinstance(action, argparse.BooleanOptionalAction) else "flag"
    else:
        record["kind"] = {None: "value", "?": "optional", "+": "list", "*": "list"}.get(action.nargs, "value")
        if isinstance(action.nargs, int):
            record["kind"], record["count"] = "list", action.nargs
        record["type"] = type_name(action.type)
    if action.choices is not None:
        record["choices"] = sorted((plain(choice) for choice in action.choices), key=str)  # some come from sets
    if action.default not in (None, argparse.SUPPRESS):
        record["default"] = plain(action.default)
    if action.required and action.option_strings:
        record["required"] = True
    if "eprecated" in type(action).__name__:
        record["deprecated"] = True
    return record


def type_name(function: Any) -> str:
    """Return `int`, `float`, `json`, ... for a parser's type function."""
    if function is None:
        return "str"
    if isinstance(function, type):
        return "bool" if function is bool else function.__name__
    name = getattr(function, "__name__", type(function).__name__)
    cells = {}
    if getattr(function, "__closure__", None):
        cells = dict(zip(function.__code__.co_freevars, (c.cell_contents for c in function.__closure__), strict=True))
    wrapped = cells.get("return_type") or cells.get("fn") or cells.get("func")
    if wrapped is not None and name in ("_optional_type", "optional_type_fn", "inner", "wrapped", "_type"):
        return "optional " + type_name(wrapped)
    if wrapped is not None:
        return type_name(wrapped)
    return {"loads": "json", "parse_dataclass": "json", "_parse_type": "json", "<lambda>": "str"}.get(name, name)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what has no plain form is named by its type."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value), key=str)
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    return f"<{type(value).__name__}>"


def vllm_nested(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the fields of every option that takes a JSON object of a known class."""
    from vllm.config import SpeculativeConfig
    from vllm.engine.arg_utils import AsyncEngineArgs

    nested = {"--speculative-config": fields_of(SpeculativeConfig)}
    by_dest = {action.dest: action.option_strings for action in parser._actions}
    for field in dataclasses.fields(AsyncEngineArgs):
        for candidate in (field.type, *typing.get_args(field.type)):
            if field.name in by_dest and dataclasses.is_dataclass(candidate):
                name = next(name for name in by_dest[field.name] if name.startswith("--"))
                nested[name] = fields_of(candidate)
    return dict(sorted(nested.items()))


def fields_of(kind: Any) -> dict[str, Any]:
    """Return the fields that a configuration class takes, with allowed values where it lists them."""
    found = {}
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        allowed = [value for part in (field.type, *typing.get_args(field.type)) for value in literal_values(part)]
        found[field.name] = {"allowed": sorted(set(map(str, allowed)))} if allowed else {}
    return found


def literal_values(hint: Any) -> tuple[Any, ...]:
    """Return the values of a Literal, or nothing."""
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def vllm_names() -> dict[str, Any]:
    """Return vLLM's environment variables, and the values that it checks after parsing."""
    import vllm.envs
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    reasoning = set(ReasoningParserManager.reasoning_parsers) | set(ReasoningParserManager.lazy_parsers)
    tool = set(ToolParserManager.tool_parsers) | set(ToolParserManager.lazy_parsers)
    return {
        "environment": sorted(vllm.envs.environment_variables),
        "late_choices": {
            "--quantization": sorted(QUANTIZATION_METHODS),
            "--reasoning-parser": sorted(reasoning),
            "--tool-call-parser": sorted(tool),
        },
    }


def sglang_names() -> dict[str, Any]:
    """Return SGLang's environment variables."""
    from sglang.srt.environ import EnvField, Envs

    return {"environment": sorted(name for name, value in vars(Envs).items() if isinstance(value, EnvField))}


def main() -> None:
    """Print the surface of one server."""
    server = sys.argv[1]
    stand_in_for_missing_packages()
    parser = vllm_parser() if server == "vllm" else sglang_parser()
    options = [describe(action) for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    surface = {
        "server": server,
        "version": version(server),
        "options": sorted(options, key=lambda option: option["names"]),
        "nested": vllm_nested(parser) if server == "vllm" else {},
        **(vllm_names() if server == "vllm" else sglang_names()),
    }
    json.dump(surface, sys.stdout, sort_keys=True, ensure_ascii=False)


if __name__ == "__main__":
    main()
