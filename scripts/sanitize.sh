#!/usr/bin/env bash
# Build the native module with the address and undefined-behaviour sanitizers, and run its tests on it.
# usage: sanitize.sh BIN      (BIN: the bin directory of a virtual environment with everything that `make test` installs)
set -euo pipefail

bin=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
# pytest keeps what the tests print, a report too: it goes to files of its own, which are shown at the end
trap 'cat "$work"/found.* 2>/dev/null || true; rm -rf "$work"' EXIT

flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g"
"$bin/python" -m pip install --quiet nanobind
cmake -S "$root" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS="$flags" \
    -DPython_EXECUTABLE="$bin/python" -Dnanobind_DIR="$("$bin/python" -m nanobind --cmake_dir)" >"$work/cmake.log"
cmake --build "$work/build" -j"$(nproc)" >>"$work/cmake.log"

# Python itself never frees all it took, so leaks are not counted.
export ASAN_OPTIONS="detect_leaks=0:log_path=$work/found" UBSAN_OPTIONS="print_stacktrace=1:log_path=$work/found" LD_PRELOAD
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)"
cd "$root"
# The sanitized module stands in for the installed one before anything imports that.
"$bin/python" - "$work"/build/_native*.so <<'PYTHON'
import importlib.util
import sys

spec = importlib.util.spec_from_file_location("trtnemo._native", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["trtnemo._native"] = module
spec.loader.exec_module(module)
import pytest

backends = [f"tests/backends/{name}" for name in ("cpu", "test_executor.py", "test_family.py")]
tests = [*backends, "tests/plugins", "tests/runtime/prefixes", "tests/runtime/test_sampler.py"]
tests.append("tests/runtime/scheduling/test_residency.py")
without_limits = ["-o", "timeout=0", "-o", "faulthandler_timeout=0"]  # sanitized code takes its time
# the sanitizer's mlock does nothing, so nothing is locked
chosen = "not tensorrt and not test_mapping"
shown = ["--capture=sys"]  # what is found is written past Python: pytest would keep it, and end with the process
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", chosen, *shown, *without_limits, *tests]))
PYTHON
