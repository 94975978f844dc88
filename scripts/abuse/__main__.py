"""What clients may do to a server, tried one after the other while a second connection asks for /health.

Starts `tiny` on a free port. Prints, for each case, what it was answered, and the slowest /health meanwhile; exits 1
where /health took longer than --most milliseconds, a case was answered 5xx or not at all, or nothing was answered
afterwards.

usage: python -m scripts.abuse [--most 100] [--long]

--long: the longest bodies there are, 64 MiB, with a context of 1,000,000 tokens
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from scripts.abuse.cases import CASES, CHAT, chat, connect
from scripts.abuse.harness import Health, post, resident, server
from scripts.abuse.long_cases import LONG_CASES


def descriptors() -> None:
    """Hold more connections than a process may open files (A3), and say what that costs."""
    with server(files=64) as (url, process):
        held = []
        for _ in range(80):
            with suppress(OSError):
                held.append(connect(url))
        pid = process.pid
        before = os.times(), Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[13:15]
        time.sleep(5)
        after = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[13:15]
        spent = (sum(map(int, after)) - sum(map(int, before[1]))) / os.sysconf("SC_CLK_TCK")
        for connection in held:
            connection.close()
        time.sleep(0.5)
        found = post(url, CHAT, chat("Hi"))
        process.send_signal(signal.SIGTERM)
        logged = len(process.communicate(timeout=40)[1].splitlines())
        print(f"A3 80 connections, 64 files: {spent / 5:.0%} of a core, {logged} log lines, then {found}")
        print("   before: 100 % of a core, 1,136,119 log lines in 15 s")


def main() -> int:
    """Run all cases; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=float, default=100.0)
    parser.add_argument("--long", action="store_true")
    given = parser.parse_args()
    most, is_well, cases = given.most, True, LONG_CASES if given.long else CASES
    with server(*(["limits.max_seq_len=1000000"] if given.long else [])) as (url, process):
        print(f"{'case':<34} {'answer':<18} {'health 99.9 %':>14} {'longest':>9}   before: longest, or else")
        for name, (earlier, case) in cases.items():
            health = Health(url)
            time.sleep(0.3)
            told = case(url)
            time.sleep(0.2)
            usual, longest = health.stop()
            print(f"{name:<34} {told:<18} {usual:>11.1f} ms {longest:>6.1f} ms   {earlier}", flush=True)
            is_well = is_well and usual <= most and told[:2] not in ("50", "Re", "Co")  # a 5xx, a time-out, no answer
        kept = resident(process)
        time.sleep(30)
        print(f"A6 memory: {kept} MiB after all, {resident(process)} MiB after 30 s; before: 3.0 GiB kept")
        is_well = is_well and post(url, CHAT, chat("Hi")).startswith("200")
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]
        print(f"log: {len(errors.splitlines())} lines")
    if not given.long:
        descriptors()
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
