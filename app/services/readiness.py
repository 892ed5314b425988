"""Readiness of the service: all of its parts are ready."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.errors import NotReadyError, UpstreamCredentialsError
from app.domain.ports import Readiness
from app.services.model_stack.target import TargetGuard


@dataclass(frozen=True, slots=True)
class AllReady:
    """Ready when each of its parts is."""

    parts: Sequence[Readiness]

    async def check(self) -> None:
        """Return, or raise the first part's NotReadyError."""
        for part in self.parts:
            await part.check()


@dataclass(frozen=True, slots=True)
class CredentialsTaken:
    """Ready unless each target has just refused the service's credentials.

    An expired or mistyped key exists, so only a call can show that it is wrong. A call's verdict is
    forgotten after a minute, so that another call is made and decides anew.
    """

    gates: Sequence[TargetGuard]

    async def check(self) -> None:
        """Check the credentials, or raise NotReadyError."""
        lasting = [gate.breaker.lasting for gate in self.gates]
        if all(refusal is UpstreamCredentialsError for refusal in lasting):
            raise NotReadyError(
                "Amazon Bedrock refused the service's credentials: they are mistyped or have "
                "expired, or the machine's clock is wrong. The log has AWS's own sentence."
            )
