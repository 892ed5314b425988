"""Readiness of the service as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.errors import NotReadyError, UpstreamCredentialsError
from app.domain.ports import Readiness
from app.services.model_stack.target import TargetGuard


@dataclass(frozen=True, slots=True)
class AllReady:
    """A readiness check that passes if all of its parts are ready."""

    parts: Sequence[Readiness]

    async def check(self) -> None:
        """Check each part, or raise the first NotReadyError."""
        for part in self.parts:
            await part.check()


@dataclass(frozen=True, slots=True)
class CredentialsAccepted:
    """A readiness check that fails if every target has just refused the service's credentials.

    An expired or mistyped key is still a key, so only a call can show that it is wrong. The result
    of a call is forgotten after a minute, so that the next call decides again.
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
