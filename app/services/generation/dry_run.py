"""Image preparation without a model call."""

from dataclasses import dataclass

from app.domain.generation import ImageInput
from app.domain.image import ImageReport
from app.domain.ports import ImagePreparer
from app.services.concurrency.deadline import Drain
from app.services.generation.image_sources import ImageSources


@dataclass(frozen=True, slots=True)
class PreparationService:
    """Prepares an image as for a model call, without making the call."""

    sources: ImageSources
    preparer: ImagePreparer
    drain: Drain

    async def prepare(self, image: ImageInput, deadline: float) -> ImageReport:
        """Return the report with the prepared image, or raise an ImageError.

        Raises DeadlineExceededError at ``deadline``, which is in the event loop's time.
        """
        async with self.drain.before(deadline), self.sources.fetched(image) as received:
            return await self.preparer.prepare(received)
