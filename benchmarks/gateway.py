"""What the gateway costs: paced streams straight from a stand-in, and through a gateway before it.

The stand-in says one event of 200 bytes every 20 ms in each stream, with the time in it. Prints the median delay of an
event, events a second, the gateway's CPU time an event, its memory, and its memory with many idle connections.

usage: python -m benchmarks.gateway [--streams 32] [--seconds 10] [--pairs 6] [--idle 5000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PACE = 0.02
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ASK = b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
MODELS, TOKEN = b'{"data": [{"id": "m"}]}', b'{"choices": [{}]}'


async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, events: int) -> None:
    """Answer one connection after another request: health, models, a token, or a paced stream."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        body = await reader.readexactly(length)
        if head.startswith(b"GET") or b"Say yes." in body:
            answer = MODELS if head.startswith(b"GET") else TOKEN
            writer.write(JSON_HEAD % len(answer) + answer)
            continue
        writer.write(HEAD)
        due = time.perf_counter()
        for _ in range(events):
            event = b"data: %.7f %b\n\n" % (time.perf_counter(), b"x" * 170)
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            due += PACE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.write(b"0\r\n\r\n")


async def listen(port: int, delays: list[float]) -> None:
    """Read one stream to its end, and note how late each event came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK)
    held = b""
    while not held.endswith(b"0\r\n\r\n"):
        held += await reader.read(1 << 16)
        now = time.perf_counter()
        *whole, held = held.split(b"data: ")
        for piece in [*whole, *([held] if held.endswith(b"\n\n\r\n") else [])]:
            if piece[:1].isdigit() and b" x" in piece:
                delays.append(now - float(piece.split()[0]))
        if held.endswith(b"\n\n\r\n"):
            held = b""
    writer.close()


async def measured(port: int, streams: int) -> tuple[float, float, int]:
    """Return the median delay in ms, events a second, and how many there were."""
    delays: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(listen(port, delays) for _ in range(streams)))
    return statistics.median(delays) * 1000, len(delays) / (time.perf_counter() - began), len(delays)


def cpu_seconds(pid: int) -> float:
    """Return what a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


def start(port: int, connections: int) -> tuple[subprocess.Popen[str], int]:
    """Start a gateway before a port; return it and its own."""
    chosen = ["--upstream", f"http://127.0.0.1:{port}", "--port", "0", "--set", f"max_connections={connections}"]
    command = [sys.executable, "-m", "trtnemo", "gateway", *chosen, "--set", "idle_seconds=600"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline() if process.stdout else ""
    return process, int(line.rpartition(":")[2])


async def run(streams: int, seconds: float, pairs: int, idle: int) -> None:
    """Measure and print."""
    events = int(seconds / PACE)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):  # its client is done
            await say(reader, writer, events)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()[1]
    process, port = await asyncio.to_thread(start, upstream, idle + 100)
    try:
        await asyncio.sleep(2)  # until it is seen to be ready
        delays: dict[str, list[float]] = {"direct": [], "gateway": []}
        for name in [*delays] * pairs:
            before = cpu_seconds(process.pid)
            delay, rate, count = await measured(upstream if name == "direct" else port, streams)
            delays[name].append(delay)
            spent = (cpu_seconds(process.pid) - before) / max(1, count) * 1e6
            more = f", {spent:.0f} us of CPU an event, {resident(process.pid)} MiB" if name == "gateway" else ""
            print(f"{name:<8} median delay {delay:.2f} ms, {rate:.0f} events/s{more}", flush=True)
        added = [there - here for here, there in zip(delays["direct"], delays["gateway"], strict=True)]
        print(f"added by the gateway: {statistics.median(added):.2f} ms in the middle of {pairs} pairs, "
              f"{min(added):.2f} to {max(added):.2f} ms")  # fmt: skip
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(idle)]
        for _, writer in held:
            writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answers = await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in held))
        well = sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        print(f"{well} of {idle} idle connections held, {resident(process.pid)} MiB")
    finally:
        process.terminate()
        process.wait()
        server.close()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--idle", type=int, default=5000)
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(run(given.streams, given.seconds, given.pairs, given.idle))


if __name__ == "__main__":
    main()
