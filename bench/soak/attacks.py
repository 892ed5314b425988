"""Hostile callers' requests, each kind sent until it is ended; ``python -m bench.soak.attacks``."""

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.soak.load import post

MIB = 1024 * 1024

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Target:
    """The service that is attacked, and a key of the attacker's own."""

    url: str
    key: str

    async def connect(self) -> Connection:
        address = urlsplit(self.url)
        return await asyncio.open_connection(address.hostname, address.port)

    async def send(self, *pieces: bytes) -> None:
        """Send ``pieces`` on one connection, and read the answer to its end."""
        with suppress(OSError):
            reader, writer = await self.connect()
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        while await reader.read(65536):
                            pass
            finally:
                writer.close()

    async def ask(self, path: str, body: object) -> None:
        """Send one request, as a caller with a key."""
        await self.send(post(path, body, self.key))


async def data_uris(target: Target) -> None:
    image = "data:" + "a" * 64_000
    await target.ask("/v1/generate", {"prompt": "Hi", "images": [image]})


async def combining_marks(target: Target) -> None:
    await target.ask("/v1/generate", {"prompt": "a" + "\u0316\u0301" * 64_000, "max_gen_len": 1})


async def endless_lists(target: Target) -> None:
    await target.ask("/v1/generate", {"prompt": "Hi", "images": [0] * 300_000})


async def endless_chats(target: Target) -> None:
    turns = [{"role": "user", "content": ""}] * 100_000
    await target.ask("/v1/chat/completions", {"model": "m", "messages": turns})


async def endless_trailers(target: Target) -> None:
    head = (
        f"POST /v1/generate HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-API-Key: {target.key}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n"
    )
    await target.send(head.encode(), *[b"x: " + b"y" * 1000 + b"\r\n"] * 20_000)


async def announced_bodies(target: Target) -> None:
    head = (
        f"POST /v1/generate HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-API-Key: {target.key}\r\nContent-Length: {32 * MIB}\r\n\r\n {{"
    )
    await target.send(head.encode())


async def withheld_bodies(target: Target) -> None:
    head = (
        f"POST /v1/generate HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-API-Key: {target.key}\r\nContent-Length: {32 * MIB}\r\n\r\n"
    )
    await target.send(head.encode(), *[b" " * MIB] * 31)


async def nested_documents(target: Target) -> None:
    data = base64.b64encode(_nested_forms()).decode()
    await target.ask("/v1/tasks/document-qa", {"question": "What?", "images": [data]})


async def pathological_answers(target: Target) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    turns = [{"role": "user", "content": "Hi"}]
    await target.ask("/v1/chat/completions", {"messages": turns, "response_format": form})


async def refused_requests(target: Target) -> None:
    asked = b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n"
    await target.send(*[asked * 5000] * 16)


async def offered_protocols(target: Target) -> None:
    asked = (
        b"POST / HTTP/1.1\r\nHost: bench\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    await target.send(*[asked * 2500] * 16)


def _nested_forms(depth: int = 60, times: int = 12) -> bytes:
    """Return a PDF whose page draws a form, which draws another several times, and so on."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
        b"/Resources << /XObject << /F 5 0 R >> >> >>",
        b"<< /Length 5 >>\nstream\n/F Do\nendstream",
    ]
    for number in range(5, 5 + depth):
        draws = b"/F Do " * times if number < 4 + depth else b"0 0 600 800 re f "
        objects.append(
            b"<< /Type /XObject /Subtype /Form /BBox [0 0 600 800] /Length %d "
            b"/Resources << /XObject << /F %d 0 R >> >> >>\nstream\n%s\nendstream"
            % (len(draws), number + 1, draws)
        )
    body, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        body
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        % (
            len(objects) + 1,
            table,
            len(objects) + 1,
        )
        + b"startxref\n%d\n%%%%EOF\n" % len(body)
    )


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of hostile caller."""

    title: str
    run: Callable[[Target], Awaitable[None]]
    at_once: int = 4
    answer: str = ""
    """Bedrock's answer, where that is the attack."""
    pictures: bool = False
    """Whether it is about pictures, and the polite caller sends one."""


ATTACKS = {
    attack.run.__name__: attack
    for attack in (
        Attack("data URIs without end", data_uris),
        Attack("combining marks in a long prompt", combining_marks),
        Attack("lists of 300,000 wrong items", endless_lists),
        Attack("chats of 100,000 messages", endless_chats),
        Attack("trailers without end", endless_trailers),
        Attack("bodies announced and not sent", announced_bodies, at_once=8),
        Attack("bodies sent but for their end", withheld_bodies, at_once=4),
        Attack("documents of nested forms", nested_documents, pictures=True),
        Attack("answers of brackets", pathological_answers, at_once=8, answer="[{" * 4000),
        Attack("thousands of requests refused", refused_requests),
        Attack("thousands of offers of another protocol", offered_protocols),
    )
}


async def attack(chosen: Attack, target: Target) -> None:
    """Attack until this process is ended."""

    async def again() -> None:
        while True:
            await chosen.run(target)
            # One who is refused at once would else be the load.
            await asyncio.sleep(0.05)

    await asyncio.gather(*(again() for _ in range(chosen.at_once)))


if __name__ == "__main__":
    asyncio.run(attack(ATTACKS[sys.argv[1]], Target(*json.loads(sys.stdin.readline()))))
