"""Reads a model's lifecycle from Bedrock's control plane."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from app.adapters.bedrock.control_planes import ControlPlanes
from app.domain.control_plane import ControlPlaneError, UnknownToAwsError
from app.domain.generation import Target
from app.domain.lifecycle import Life, LifeStatus, soonest
from app.domain.model import ModelIdentity, ModelKind
from app.domain.residency import region_of


@dataclass(frozen=True, slots=True)
class Lifecycles:
    """Reads the lifecycles of models."""

    plane: ControlPlanes

    async def life(self, target: Target, identity: ModelIdentity) -> Life:
        """Return the lifecycle of ``target``'s model as AWS states it; never raises."""
        try:
            return await self._life(target, identity)
        except UnknownToAwsError as error:
            return Life(LifeStatus.MISSING, error.detail, datetime.now(UTC))
        except ControlPlaneError as error:
            own = identity.kind in (ModelKind.FOUNDATION_MODEL, ModelKind.INFERENCE_PROFILE)
            if not own or identity.base.end_of_life is None:
                return Life(LifeStatus.UNKNOWN, error.detail, datetime.now(UTC))
            source = f"the service's own table, as {error.detail}"
            end = identity.base.end_of_life
            return Life(LifeStatus.ACTIVE, source, datetime.now(UTC), end=end, told=False)

    async def _life(self, target: Target, identity: ModelIdentity) -> Life:
        match identity.kind:
            case ModelKind.INFERENCE_PROFILE | ModelKind.APPLICATION_INFERENCE_PROFILE:
                return await self._profile(target)
            case ModelKind.IMPORTED_MODEL:
                await self.plane.get(target.region, "imported-models", target.model_id)
                return Life(LifeStatus.ACTIVE, "GetImportedModel", datetime.now(UTC))
            case ModelKind.PROVISIONED_MODEL:
                path = "provisioned-model-throughput"
                reply = await self.plane.get(target.region, path, target.model_id)
                return await self._model(target.region, str(reply.get("foundationModelArn")))
        return await self._model(target.region, target.model_id)

    async def _profile(self, target: Target) -> Life:
        reply = await self.plane.get(target.region, "inference-profiles", target.model_id)
        lives, failed = [], ControlPlaneError("the profile has no models")
        for member in reply.get("models", []):
            arn = str(member.get("modelArn", ""))
            try:
                lives.append(await self._model(region_of(arn) or target.region, arn))
            except ControlPlaneError as error:
                # One region of several may be closed to us; the others' answers still count.
                failed = error
        if not lives:
            raise failed
        life = soonest(lives)
        return replace(life, source=f"GetInferenceProfile, {life.source} of {len(lives)} members")

    async def _model(self, region: str, identifier: str) -> Life:
        model_id = identifier.rpartition("foundation-model/")[2]
        reply = await self.plane.get(region, "foundation-models", model_id)
        return _life(reply.get("modelDetails", {}).get("modelLifecycle", {}))


def _life(details: dict[str, Any]) -> Life:
    status = LifeStatus.LEGACY if details.get("status") == "LEGACY" else LifeStatus.ACTIVE
    return Life(
        status,
        "GetFoundationModel",
        datetime.now(UTC),
        legacy=_day(details.get("legacyTime")),
        extended_access=_day(details.get("publicExtendedAccessTime")),
        end=_day(details.get("endOfLifeTime")),
    )


def _day(value: object) -> date | None:
    """Return the day of a timestamp, in either of the forms that AWS's JSON has."""
    try:
        match value:
            case str():
                return datetime.fromisoformat(value).astimezone(UTC).date()
            case int() | float():
                return datetime.fromtimestamp(value, UTC).date()
    except (ValueError, OverflowError):
        pass
    return None
