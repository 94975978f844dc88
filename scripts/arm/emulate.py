"""Build the native module for Arm, run it under emulation, and compare every bit with this machine's.

usage: python -m scripts.arm.emulate [FOLDER]     (Debian 12, x86-64: apt-get install g++-aarch64-linux-gnu qemu-user)

Makes in FOLDER (.cache/arm, about 400 MB, kept) a root of Debian's packages for arm64 with Python, packages from PyPI
for it, and a cross build. Says nothing of speed: an emulator has none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.arm.bits import digests

ROOT = Path(__file__).resolve().parents[2]
VERSION = "3.11"  # of Debian 12's Python
TRIPLE = "aarch64-linux-gnu"
NEEDED = (f"{TRIPLE}-g++", "qemu-aarch64", "apt-get", "dpkg")
DEBIAN = (
    f"python{VERSION}-minimal", f"libpython{VERSION}-minimal", f"libpython{VERSION}-stdlib", f"libpython{VERSION}-dev",
    "libc6", "libgcc-s1", "libstdc++6", "libexpat1", "zlib1g", "libssl3", "libffi8", "libbz2-1.0", "liblzma5",
    "libsqlite3-0", "libuuid1", "libcrypt1",
)  # fmt: skip
PYPI = ("numpy", "pydantic", "pyyaml", "click", "huggingface_hub", "safetensors")
CHECKPOINTS = ("bf16", "nvfp4", "mixed")


def main() -> int:
    """Return 0 where every form on Arm computes the bits of the plain form here."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        print(
            f"not run: {', '.join(missing)} is not here; apt-get install g++-aarch64-linux-gnu qemu-user",
            file=sys.stderr,
        )
        return 6
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".cache" / "arm").resolve()
    root, site, package = folder / "root", folder / "site", folder / "package"
    if not (root / "usr" / "bin" / f"python{VERSION}").exists():
        make_root(folder, root)
    if not site.exists():
        install(site)
    build(folder, root, package)
    checkpoints = [make_checkpoint(folder, precision) for precision in CHECKPOINTS]
    return compare(digests(checkpoints), emulated(root, [package, site], checkpoints))


def make_root(folder: Path, root: Path) -> None:
    """Download and unpack Debian's packages for arm64; nothing of this machine's own list of packages changes."""
    apt, archives = folder / "apt", folder / "debs"
    for place in (apt / "state/lists/partial", apt / "cache/archives/partial", archives, root):
        place.mkdir(parents=True, exist_ok=True)
    options = [f"Dir::State={apt / 'state'}", f"Dir::Cache={apt / 'cache'}", "APT::Architecture=arm64",
               "APT::Architectures=arm64", "Dir::State::status=/dev/null", "APT::Sandbox::User=root"]  # fmt: skip
    words = [word for option in options for word in ("-o", option)]
    run(["apt-get", *words, "-qq", "update"], archives)
    run(["apt-get", *words, "-qq", "download", *DEBIAN], archives)
    for archive in sorted(archives.glob("*.deb")):
        run(["dpkg", "-x", str(archive), str(root)], folder)
    headers = root / "usr" / "include"
    shutil.copy(headers / TRIPLE / f"python{VERSION}" / "pyconfig.h", headers / f"python{VERSION}" / "pyconfig.h")


def install(site: Path) -> None:
    """Install what the runtime imports, for Arm, and what builds, for this machine, beside it."""
    platforms = [word for tag in ("2_28", "2_17") for word in ("--platform", f"manylinux_{tag}_aarch64")]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target"]
    run([*pip, str(site.parent / "tools"), "nanobind", "cmake", "ninja"], ROOT)
    run([*pip, str(site), *platforms, "--python-version", VERSION, "--only-binary=:all:", *PYPI], ROOT)


def build(folder: Path, root: Path, package: Path) -> None:
    """Cross-compile the native module, and lay a copy of the package with it."""
    tools, output = folder / "tools", folder / "build"
    toolchain = folder / "toolchain.cmake"
    toolchain.write_text(f"set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR aarch64)\n"
                         f"set(CMAKE_CXX_COMPILER {TRIPLE}-g++)\n")  # fmt: skip
    bin_folder = tools / "bin"
    env = {**os.environ, "PYTHONPATH": str(tools)}
    run([str(bin_folder / "cmake"), "-G", "Ninja", "-S", str(ROOT), "-B", str(output),
         f"-DCMAKE_MAKE_PROGRAM={bin_folder / 'ninja'}", f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
         "-DCMAKE_BUILD_TYPE=Release", f"-Dnanobind_DIR={tools / 'nanobind' / 'cmake'}",
         f"-DPython_EXECUTABLE={sys.executable}",
         f"-DPython_INCLUDE_DIR={root / 'usr' / 'include' / f'python{VERSION}'}"], ROOT, env)  # fmt: skip
    run([str(bin_folder / "ninja"), "-C", str(output)], ROOT, env)
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "trtnemo", package / "trtnemo", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copytree(ROOT / "scripts" / "arm", package / "scripts" / "arm")
    built = next(output.glob("_native*.so"))
    shutil.copy(built, package / "trtnemo" / f"_native.cpython-{VERSION.replace('.', '')}-{TRIPLE}.so")


def make_checkpoint(folder: Path, precision: str) -> Path:
    """Return a random checkpoint of size micro."""
    place = folder / precision
    if not place.exists():
        program = ROOT / "tests" / "support" / "checkpoints" / "make_checkpoint.py"
        run([sys.executable, str(program), str(place), "--precision", precision, "--size", "micro"], ROOT)
    return place


def emulated(root: Path, places: list[Path], checkpoints: list[Path]) -> dict[str, dict[str, str]]:
    """Return the digests that the emulated machine computes."""
    command = [
        "qemu-aarch64",
        "-L",
        str(root),
        str(root / "usr" / "bin" / f"python{VERSION}"),
        "-m",
        "scripts.arm.bits",
    ]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    done = subprocess.run([*command, *map(str, checkpoints)], env=env, cwd=places[0],  # not where our own module lies
                          stdout=subprocess.PIPE, text=True, check=True)  # fmt: skip
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def compare(here: dict[str, dict[str, str]], arm: dict[str, dict[str, str]]) -> int:
    """Print which digests differ from this machine's plain form, and return 1 where some do or a form is missing."""
    wanted, failed = here["portable"], not {"neon", "i8mm"} <= arm.keys()
    for place, forms in (("here", here), ("Arm", arm)):
        for form, found in forms.items():
            differing = [name for name in wanted if found.get(name) != wanted[name]]
            print(f"{place}, {form}: {len(wanted) - len(differing)} of {len(wanted)} digests are the plain form's")
            for name in differing:
                print(f"  differs: {name}")
            failed = failed or bool(differing)
    return 1 if failed else 0


def run(command: list[str], place: Path, env: dict[str, str] | None = None) -> None:
    """Run a command to its end; what fails raises CalledProcessError."""
    subprocess.run(command, cwd=place, env=env, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
