"""How many text InvokeModel calls a second the emulator answers on one core.

    python -m bench.emulator [--seconds 5] [--connections 16]

The emulator runs with a fixed answer as a process bound to one core; this process, on another
where there is one, keeps connections open and sends one request after another on each.
"""

import argparse
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODEL = "us.meta.llama3-2-11b-instruct-v1%3A0"
PROMPT = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
    "Describe the sea in two sentences.<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
ANSWER = "The sea is wide and blue. It moves all day and rests at night."


@contextmanager
def emulator(core: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "app.emulator", "--port", "0", "--fixed-answer", ANSWER]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {core})
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            found = next(filter(None, (re.search(r"127\.0\.0\.1:(\d+)", line) for line in lines)))
            yield process, int(found[1])
        finally:
            process.terminate()
            process.communicate(timeout=10)


def request() -> bytes:
    body = json.dumps({"prompt": PROMPT, "max_gen_len": 64, "temperature": 0}).encode()
    head = (
        f"POST /model/{MODEL}/invoke HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\n"
        "Authorization: AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/bedrock/aws4_request,"
        f" SignedHeaders=host;x-amz-date, Signature={'0' * 64}\r\n"
        f"X-Amz-Date: 20261123T000000Z\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(slots=True)
class Connection:
    """One caller that waits for each answer before it asks again."""

    socket: socket.socket
    received: bytes = b""

    def answered(self) -> bool:
        """Read what came, and say whether a whole answer is there."""
        self.received += self.socket.recv(65_536)
        head, _, rest = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length is None or len(rest) < int(length[1]):
            return False
        if not head.startswith(b"HTTP/1.1 200") or b'"stop_reason":"stop"' not in rest:
            raise SystemExit(f"not an answer: {self.received!r}")
        self.received = b""
        return True


def load(port: int, connections: int, seconds: float) -> float:
    """Return answers a second."""
    sent, selector, done = request(), selectors.DefaultSelector(), 0
    for _ in range(connections):
        connected = Connection(socket.create_connection(("127.0.0.1", port)))
        selector.register(connected.socket, selectors.EVENT_READ, connected)
        connected.socket.sendall(sent)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for key, _ in selector.select(1):
            if key.data.answered():
                done += 1
                key.data.socket.sendall(sent)
    elapsed = time.perf_counter() - started
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    return done / elapsed


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--connections", type=int, default=16)
    given = options.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with emulator(cores[0]) as (process, port):
        load(port, given.connections, 1)  # warm up
        before = cpu(process.pid)
        rate = load(port, given.connections, given.seconds)
        busy = cpu(process.pid) - before
    print(f"{rate:,.0f} InvokeModel/s, {given.connections} connections, {given.seconds:g} s")
    print(f"the emulator's core was busy {busy / given.seconds:.0%} of the time")


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
