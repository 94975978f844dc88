"""Ask for /health again and again, from a process of its own, until stdin is closed; print the times in milliseconds.

usage: python -m scripts.abuse.health http://127.0.0.1:8123
"""

from __future__ import annotations

import json
import select
import sys
import time

import httpx


def main(url: str) -> None:
    """Ask."""
    found: list[float] = []
    with httpx.Client(timeout=60) as client:
        client.get(f"{url}/health")
        print("asking", flush=True)
        while not select.select([sys.stdin], [], [], 0.002)[0]:
            began = time.perf_counter()
            client.get(f"{url}/health")
            found.append((time.perf_counter() - began) * 1000)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
