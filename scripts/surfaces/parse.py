"""Put command lines through a server's real parser, and vLLM's on to its model configuration.

usage: python parse.py vllm|sglang, inside the environment that `record.py` makes

Reads JSON from standard input: {"cases": [{"name", "words", "env"}], "model": a directory with config.json, "plugin":
a file, "lines": [[words, destination]]}. Prints JSON: per case how far it came (`parsed`, `validated`, `model config`)
and what stopped it; what the plug-in made of texts; and what each line leaves at its destination, "refused" where the
parser exits, "nothing" where there is no such destination.
"""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace
from typing import Any

from dump import plain, sglang_parser, stand_in_for_missing_packages, vllm_parser


def stages(parser: Any, words: list[str], model: str) -> dict[str, str]:
    """Return the last stage that a command line reached, and the error that ended it."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.openai.cli_args import validate_parsed_serve_args

    reached = "nothing"
    try:
        arguments = parser.parse_args(words)
        arguments.model = model
        reached = "parsed"
        arguments.subparser, arguments.model_tag = "serve", model
        validate_parsed_serve_args(arguments)
        validate_names(arguments)
        reached = "validated"
        config = AsyncEngineArgs.from_cli_args(arguments).create_model_config()
        return {"reached": "model config", "error": "", "quantization": str(config.quantization)}
    except SystemExit as error:
        return {"reached": reached, "error": f"the parser exits {error.code}"}
    except Exception as error:
        return {"reached": reached, "error": f"{type(error).__name__}: {str(error)[:600]}"}


def validate_names(arguments: Any) -> None:
    """Check parser names as vLLM's server does before it loads the model, plug-ins imported first."""
    from vllm.entrypoints.openai.api_server import validate_api_server_args
    from vllm.reasoning import ReasoningParserManager

    if arguments.reasoning_parser_plugin:
        ReasoningParserManager.import_reasoning_parser(arguments.reasoning_parser_plugin)
    arguments.structured_outputs_config.reasoning_parser = arguments.reasoning_parser
    validate_api_server_args(arguments)


def parsed_only(parser: Any, words: list[str]) -> dict[str, str]:
    """Return whether SGLang's parser takes a command line; what follows it needs a GPU."""
    try:
        parser.parse_args(words)
    except SystemExit as error:
        return {"reached": "nothing", "error": f"the parser exits {error.code}"}
    return {"reached": "parsed", "error": ""}


def value_of(parser: Any, words: list[str], destination: str) -> Any:
    """Return what a command line leaves at a destination."""
    try:
        return plain(getattr(parser.parse_args(words), destination, "nothing"))
    except SystemExit:
        return "refused"


class Tokenizer:
    """As much of a tokenizer as reasoning parsers look at."""

    def get_vocab(self) -> dict[str, int]:
        """Return the two think tags."""
        return {"<think>": 12, "</think>": 13}


def read_texts(plugin: str, texts: list[Any]) -> list[Any]:
    """Return (reasoning, content) by the plug-in, whole and streamed token by token, for each (text, settings)."""
    from vllm.reasoning import ReasoningParserManager

    ReasoningParserManager.import_reasoning_parser(plugin)
    kind = ReasoningParserManager.get_reasoning_parser("super_v3")
    results = []
    for tokens, settings in texts:
        parser = kind(Tokenizer(), chat_template_kwargs=settings)
        whole = parser.extract_reasoning("".join(tokens), SimpleNamespace(chat_template_kwargs=settings))
        streamed: dict[str, str] = {"reasoning": "", "content": ""}
        ids = [{"<think>": 12, "</think>": 13}.get(token, 100) for token in tokens]
        for place, token in enumerate(tokens):
            before, text = ids[:place], "".join(tokens[:place])
            delta = parser.extract_reasoning_streaming(
                text, text + token, token, before, ids[: place + 1], [ids[place]]
            )
            for channel in streamed:
                streamed[channel] += (getattr(delta, channel) or "") if delta is not None else ""
        results.append({"whole": list(whole), "streamed": [streamed["reasoning"], streamed["content"]]})
    return results


def main() -> None:
    """Print what became of every case."""
    asked = json.load(sys.stdin)
    sys.stdout, output = sys.stderr, sys.stdout
    stand_in_for_missing_packages()
    is_vllm = sys.argv[1] == "vllm"
    parser = vllm_parser() if is_vllm else sglang_parser()
    results = {}
    for case in asked["cases"]:
        os.environ.update(case["env"])
        words = case["words"]
        results[case["name"]] = stages(parser, words, asked["model"]) if is_vllm else parsed_only(parser, words)
        for name in case["env"]:
            os.environ.pop(name)
    texts = read_texts(asked["plugin"], asked["texts"]) if is_vllm else []
    values = [value_of(parser, words, destination) for words, destination in asked.get("lines", ())]
    json.dump({"cases": results, "texts": texts, "values": values}, output)


if __name__ == "__main__":
    main()
