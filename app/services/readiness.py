"""Ready means that everything is."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.ports import Readiness


@dataclass(frozen=True, slots=True)
class AllReady:
    """Ready when each of its parts is."""

    parts: Sequence[Readiness]

    async def check(self) -> None:
        """Return, or raise the first part's NotReadyError."""
        for part in self.parts:
            await part.check()
