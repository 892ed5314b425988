"""One fake per port; tests/contracts holds them to the adapters' behaviour."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from app.domain.errors import ImageSourceNotFoundError, ImageTooLargeError, ServiceError
from app.domain.generation import Completion, Delta, Finish, ModelRequest, StopReason, StreamParts
from app.domain.image import (
    ImageLimits,
    ImageReport,
    PreparedImage,
    ReceivedImage,
    S3Image,
    UrlImage,
)
from app.domain.ports import Arrival
from app.domain.usage import Usage
from app.services.concurrency.budget import Budget
from app.services.images.drawing.sheet import ContactSheet, contact_sheet
from app.services.images.error_location import ImageErrorLocation
from app.services.images.inspection.header import Inspection
from app.services.images.prepare import prepare_decoded

T = TypeVar("T")


@dataclass
class FakeVisionModel:
    """Answers with the words of its prompt, one token per word."""

    failing: ServiceError | None = None
    requests: list[ModelRequest] = field(default_factory=list)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        whole = await self.generate(request)

        async def parts() -> AsyncIterator[StreamParts]:
            for word in re.findall(r"\S+\s*", whole.text):
                yield (Delta(word),)
            yield (Finish(whole.usage, whole.stop_reason, whole.stop_reason_raw, whole.latency_ms),)

        yield parts()

    async def generate(self, request: ModelRequest) -> Completion:
        self.requests.append(request)
        if self.failing is not None:
            raise self.failing
        asked = request.turns[-1].text.split()
        words = [f"[fake {len(request.turns[-1].images)} image(s)]", *asked]
        given = words[: request.sampling.max_gen_len]
        cut = len(given) < len(words)
        return Completion(
            text=" ".join(given),
            usage=Usage(len(asked) + len(request.turns[-1].images), len(given)),
            stop_reason=StopReason.LENGTH if cut else StopReason.STOP,
            stop_reason_raw="length" if cut else "stop",
            latency_ms=7,
        )


class GatedVisionModel(FakeVisionModel):
    """Answers nothing before its gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()

    async def generate(self, request: ModelRequest) -> Completion:
        self.asked.set()
        await anyio.to_thread.run_sync(self.go.wait, abandon_on_cancel=True)
        return await super().generate(request)


@dataclass(frozen=True)
class InlinePreparer:
    """The real preparation in a thread, so that no worker processes have to start."""

    limits: ImageLimits

    async def decode(self, image: ReceivedImage, inspection: Inspection) -> ImageReport:
        with ImageErrorLocation(image):
            return await asyncio.to_thread(prepare_decoded, image, inspection, self.limits)

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        # Not in threads: PDFium is not thread-safe.
        return function(*arguments)

    async def contact_sheet(self, pictures: Sequence[PreparedImage]) -> ContactSheet:
        return await asyncio.to_thread(contact_sheet, pictures, self.limits)


def plenty() -> Budget:
    """Return an unlimited budget."""
    return Budget("bytes", 2**40, 1)


@dataclass
class Arriving:
    """Has unlimited room, and records the sizes that it was asked for."""

    sizes: list[int] = field(default_factory=list)

    async def grow_to(self, size: int) -> None:
        self.sizes.append(size)


@dataclass
class FakeImageSource:
    """Returns pictures by URL or by S3 key."""

    pictures: dict[str, bytes] = field(default_factory=dict)
    declared_type: str | None = None
    max_bytes: int = 20 * 1024 * 1024
    asked: list[UrlImage | S3Image] = field(default_factory=list)

    async def fetch(self, image: UrlImage | S3Image, arrival: Arrival) -> ReceivedImage:
        self.asked.append(image)
        where = image.url if isinstance(image, UrlImage) else image.key
        if where not in self.pictures:
            raise ImageSourceNotFoundError("not there")
        if len(self.pictures[where]) > self.max_bytes:
            raise ImageTooLargeError("too large")
        await arrival.grow_to(len(self.pictures[where]))
        return ReceivedImage(self.pictures[where], self.declared_type, image.name)


@dataclass
class FakeReadiness:
    """Ready by default."""

    failing: ServiceError | None = None

    async def check(self) -> None:
        if self.failing is not None:
            raise self.failing
