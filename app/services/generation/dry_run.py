"""Pictures made ready as they would be for the model, without asking it."""

from dataclasses import dataclass

from app.domain.generation import ImageInput
from app.domain.image import ImageReport
from app.domain.ports import ImagePreparer
from app.services.concurrency.deadline import Drain
from app.services.generation.image_sources import ImageSources


@dataclass(frozen=True, slots=True)
class PreparationService:
    """The dry run."""

    sources: ImageSources
    preparer: ImagePreparer
    drain: Drain

    async def prepare(self, image: ImageInput, deadline: float) -> ImageReport:
        """Return the picture that would be sent and its report, or raise an ImageError.

        Or DeadlineExceededError at ``deadline``, in the event loop's time.
        """
        async with self.drain.before(deadline), self.sources.fetched(image) as received:
            return await self.preparer.prepare(received)
