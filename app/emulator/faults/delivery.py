"""Sends an answer at its pace, and interrupts it if a fault requires that."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from app.emulator.faults.fault_schedule import Plan
from app.emulator.faults.spelling import Break, GatewayReply
from app.emulator.wire import eventstream
from app.emulator.wire.bodies.response_stream import Frame
from app.emulator.wire.errors import AwsError, ErrorKind
from app.emulator.wire.exchange import Exchange, Headers, HungUpError

_HANDFUL = 7  # Bytes of a slow drip: fewer than any frame's prelude and checksum.


@dataclass(frozen=True, slots=True)
class Delivery:
    """Sends one call's answer to its caller."""

    exchange: Exchange
    plan: Plan

    async def whole(self, headers: Headers, body: bytes, tokens: int) -> None:
        """Send a whole reply, after the time that ``tokens`` tokens take."""
        delay, broken = self.plan.delay, self.plan.broken
        await _pause(delay.first_ms + delay.token_ms * max(tokens - 1, 0))
        if broken is None or broken.how not in ("drop", "stall"):
            await self.exchange.reply(200, headers, body)
            return
        if broken.after is not None:
            await self.exchange.start(200, [*headers, _length(body)])
            await self.exchange.part(body[: broken.after])
        await self._give_up(broken)

    async def stream(self, headers: Headers, frames: Iterator[Frame]) -> None:
        """Send frames as they are made, each in a part of its own."""
        broken = self.plan.broken
        if broken is not None and broken.after is None and broken.how in ("drop", "stall"):
            await self._give_up(broken)
        await self.exchange.start(200, headers)
        texts = 0
        for frame in frames:
            if broken is not None and _reached(broken, frame, texts):
                if not await self._carries_on(broken, frame):
                    return
                broken = None
            else:
                await self._paced(frame, texts)
            texts += frame.text
        await self.exchange.end()

    async def _paced(self, frame: Frame, texts: int) -> None:
        delay = self.plan.delay
        if frame.text:
            await _pause(delay.token_ms if texts else delay.first_ms)
        data = frame.make()
        if not delay.drip_ms:
            await self.exchange.part(data)
            # Lets other calls on between two frames; nothing above may have waited.
            await asyncio.sleep(0)
            return
        for start in range(0, len(data), _HANDFUL):
            await self.exchange.part(data[start : start + _HANDFUL])
            await _pause(delay.drip_ms)

    async def _carries_on(self, broken: Break, frame: Frame) -> bool:
        """Interrupt the stream here, and return whether it continues."""
        if broken.how == "bad-crc":
            await self.exchange.part(eventstream.with_wrong_checksum(frame.make()))
            return True
        if broken.kind is not None:
            await self.exchange.part(eventstream.exception(AwsError(broken.kind)))
        elif broken.how != "cut":
            await self._give_up(broken)
        await self.exchange.end()
        return False

    async def _give_up(self, broken: Break) -> None:
        if broken.how == "stall":
            # Until the caller leaves, which cancels this.
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        self.exchange.hang_up()
        raise HungUpError


async def refuse(exchange: Exchange, refusal: ErrorKind | GatewayReply) -> int:
    """Send a gateway's reply and return its status, or raise Bedrock's own error."""
    if isinstance(refusal, ErrorKind):
        raise AwsError(refusal)
    headers = [(b"content-type", refusal.content_type.encode())]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    await exchange.reply(refusal.status, headers, refusal.body.encode())
    return refusal.status


def _reached(broken: Break, frame: Frame, texts: int) -> bool:
    if broken.after is None:
        return frame.text if broken.how == "bad-crc" else frame.final
    return frame.final or (frame.text and texts >= broken.after)


def _length(body: bytes) -> tuple[bytes, bytes]:
    return (b"content-length", str(len(body)).encode())


async def _pause(milliseconds: int) -> None:
    if milliseconds:
        await asyncio.sleep(milliseconds / 1000)
