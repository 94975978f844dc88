"""Code lines of each package beside its budget.

usage: python -m scripts.house.sizes [--write]

Prints a table and exits 1 where a package has outgrown its budget (budgets.json beside this file). An issue that needs
room raises the numbers in its first commit and says why; `--write` takes today's sizes for budgets.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from scripts.house.sources import code_lines, cpp_files, python_files

BUDGETS = Path(__file__).with_name("budgets.json")


def package_of(path: Path) -> str:
    """Return the package that a file counts for."""
    if path.suffix != ".py" or path.parts[0] == "plugins":
        return path.parts[0]
    return f"trtnemo/{path.parts[1]}" if len(path.parts) > 2 else "trtnemo"


def sizes() -> dict[str, int]:
    """Return code lines by package."""
    counted: Counter[str] = Counter()
    for path in (*python_files(), *cpp_files()):
        counted[package_of(path)] += code_lines(path)
    return dict(sorted(counted.items()))


def outgrown(found: dict[str, int]) -> list[str]:
    """Return what has outgrown its budget, a sentence each; a package without one has no room at all."""
    budgets: dict[str, int] = json.loads(BUDGETS.read_text(encoding="utf-8"))
    return [
        f"{name} has {size} code lines, its budget is {budgets.get(name, 0)}"
        for name, size in found.items()
        if size > budgets.get(name, 0)
    ]


def main() -> int:
    """Print, and return the exit code."""
    found = sizes()
    if "--write" in sys.argv[1:]:
        BUDGETS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    budgets = json.loads(BUDGETS.read_text(encoding="utf-8"))
    for name, size in found.items():
        print(f"{name:<22} {size:>6} of {budgets.get(name, 0):>6} code lines")
    print(f"{'all':<22} {sum(found.values()):>6}")
    problems = outgrown(found)
    for problem in problems:
        print(f"too large: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
