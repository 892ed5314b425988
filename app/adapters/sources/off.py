"""A source that the operator has not switched on."""

from dataclasses import dataclass

from app.domain.errors import ImageSourceDisabledError
from app.domain.image import ReceivedImage, S3Image, UrlImage
from app.domain.ports import Arrival


@dataclass(frozen=True, slots=True)
class DisabledSource:
    """Refuses every picture, and names the setting that switches the source on."""

    what: str
    """The feature that is off: ``pictures by URL``."""
    setting: str
    """The environment variable that switches it on."""

    async def fetch(
        self,
        image: UrlImage | S3Image,  # noqa: ARG002 - the port's
        arrival: Arrival,  # noqa: ARG002 - the port's
    ) -> ReceivedImage:
        """Raise ImageSourceDisabledError."""
        raise ImageSourceDisabledError(
            f"{self.what} are switched off here; the operator can allow them with {self.setting}"
        )
