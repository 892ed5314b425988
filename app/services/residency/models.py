"""Keeps requests from targets and buckets that are outside the residency."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from app.domain.generation import Completion, ModelRequest, StreamParts, Target
from app.domain.image import ReceivedImage, S3Image
from app.domain.ports import Arrival, ImageSource, VisionModel
from app.domain.residency import HopKind
from app.services.residency.sentinel import ResidencySentinel


@dataclass(frozen=True, slots=True)
class ResidentModel:
    """A target that refuses calls while it is outside, so that the next target is called."""

    inner: VisionModel
    target: Target
    sentinel: ResidencySentinel

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer as ``inner`` does, or raise ResidencyError."""
        self._check(request)
        return await self.inner.generate(request)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Stream as ``inner`` does; entering raises ResidencyError."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        self._check(request)
        async with self.inner.stream(request) as parts:
            yield parts

    def _check(self, request: ModelRequest) -> None:
        self.sentinel.check_target(self.target)
        if request.guardrail is not None:
            # Bedrock asks it within the call.
            self.sentinel.check_all(HopKind.GUARDRAIL)


@dataclass(frozen=True, slots=True)
class ResidentBuckets:
    """A source of pictures from buckets inside the residency."""

    inner: ImageSource[S3Image]
    sentinel: ResidencySentinel

    async def fetch(self, image: S3Image, arrival: Arrival) -> ReceivedImage:
        """Fetch as ``inner`` does, or raise ResidencyError."""
        self.sentinel.check(HopKind.BUCKET, image.bucket)
        return await self.inner.fetch(image, arrival)
