"""The package as others get it: a wheel with recipes, plugins and the embedded model, with and without a compiler."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT


def build_wheel(directory: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    return next(directory.glob("*.whl"))


def run_from(wheel: Path, directory: Path, code: str) -> str:
    """Run code against the wheel's own files; -S keeps the editable install of the tests out of the way."""
    zipfile.ZipFile(wheel).extractall(directory)
    paths = os.pathsep.join([str(directory), sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]])
    command = [sys.executable, "-S", "-c", code]
    environment = {**os.environ, "PYTHONPATH": paths}
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=directory)
    return result.stdout.strip()


USE = """
import sys, trtnemo, pathlib
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.native import find_native
from trtnemo.recipe import load_recipe
from trtnemo.engine import build_engine, Engine
assert audit(Checkpoint.open('tiny')).passed
build_engine(load_recipe('tiny'), 'tiny', pathlib.Path('engine'))
from trtnemo.runtime import load_executor
engine = Engine.open(pathlib.Path('engine'))
load_executor(engine)
assert engine.is_packed == (find_native() is not None)
assert ('torch' in sys.modules) != (find_native() is not None)
from trtnemo.launch.bundle.bundle import build_bundle
assert build_bundle(load_recipe('vllm-b200'), 'vllm-b200', pathlib.Path('bundle')).checked_against == 'vLLM 0.20.0'
print(pathlib.Path(trtnemo.__file__).parent.parent == pathlib.Path.cwd(), (find_native() is not None))
"""


NO_COMPILER = {"CXX": "/bin/false", "CC": "/bin/false"}


@pytest.fixture(scope="module")
def plain_wheel(tmp_path_factory: Any) -> Any:
    """Return the wheel that a machine without a compiler makes."""
    return build_wheel(tmp_path_factory.mktemp("wheel"), **NO_COMPILER)


def test_the_wheel_of_a_machine_without_a_compiler_works(plain_wheel: Any, tmp_path: Path) -> None:
    require_files(plain_wheel, has_native=False)
    assert run_from(plain_wheel, tmp_path / "installed", USE) == "True False"


def test_the_compiled_module_works_beside_the_wheels_files(plain_wheel: Any, tmp_path: Path) -> None:
    """The small form of the test below, with what these tests' own install has compiled."""
    wheel = Path(shutil.copy(plain_wheel, tmp_path))
    spec = importlib.util.find_spec("trtnemo._native")
    assert spec is not None
    assert spec.origin is not None
    module = Path(spec.origin)
    with zipfile.ZipFile(wheel, "a") as file:
        file.write(module, f"trtnemo/{module.name}")
    require_files(wheel, has_native=True)
    assert run_from(wheel, tmp_path / "installed", USE) == "True True"


@pytest.mark.slow
def test_the_wheel_of_a_machine_with_a_compiler_works(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    require_files(wheel, has_native=True)
    assert run_from(wheel, tmp_path / "installed", USE) == "True True"


def require_files(wheel: Any, has_native: Any) -> None:
    """Assert what a wheel holds, and what it does not."""
    names = zipfile.ZipFile(wheel).namelist()
    for expected in (
        "trtnemo/recipes/tiny.yaml",
        "trtnemo/plugins/mamba2/op.py",
        "trtnemo/assets/tiny/model.safetensors",
        "trtnemo/assets/weights/base.html.jinja",
        "trtnemo/front/page/static/index.html",
    ):
        assert expected in names
    assert not any(name.startswith(("tests", "training", "plugins", "native")) for name in names)
    assert any(name.endswith(".so") for name in names) == has_native
