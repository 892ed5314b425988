"""Finds the regions of models, profiles, guardrails, knowledge bases and buckets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.bedrock.control_planes import ControlPlanes
from app.domain.control_plane import ControlPlaneError, UnknownToAwsError
from app.domain.generation import Target
from app.domain.model import ModelIdentity, ModelKind
from app.domain.residency import Location, region_of

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_OF_OLD = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}
"""GetBucketLocation's names of the two oldest regions."""


@dataclass(frozen=True, slots=True)
class Locations:
    """Finds regions through the control planes.

    Every method raises ControlPlaneError if AWS gives no answer.
    """

    plane: ControlPlanes

    async def model(self, target: Target, identity: ModelIdentity) -> Location:
        """Return the regions in which ``target`` may be answered: the one called and all others."""
        match identity.kind:
            case ModelKind.INFERENCE_PROFILE | ModelKind.APPLICATION_INFERENCE_PROFILE:
                return await self._profile(target)
            case ModelKind.IMPORTED_MODEL:
                reply = await self.plane.get(target.region, "imported-models", target.model_id)
                return _at("GetImportedModel", region_of(str(reply.get("modelArn", ""))))
            case ModelKind.PROVISIONED_MODEL:
                path = "provisioned-model-throughput"
                reply = await self.plane.get(target.region, path, target.model_id)
                arn = str(reply.get("provisionedModelArn", ""))
                return _at("GetProvisionedModelThroughput", region_of(arn))
        reply = await self.plane.get(target.region, "foundation-models", target.model_id)
        arn = str(reply.get("modelDetails", {}).get("modelArn", ""))
        return _at("GetFoundationModel", region_of(arn))

    async def _profile(self, target: Target) -> Location:
        reply = await self.plane.get(target.region, "inference-profiles", target.model_id)
        members = [str(model.get("modelArn", "")) for model in reply.get("models", [])]
        regions = [region_of(arn) for arn in members]
        if not regions or "" in regions:
            # A global profile: its members' ARNs name no region, as they may be in any.
            return Location((), "GetInferenceProfile lists no regions")
        return _at("GetInferenceProfile", target.region, *regions)

    async def guardrail(self, region: str, identifier: str, declared: tuple[str, ...]) -> Location:
        """Return a guardrail's regions; those of its cross-region profile are ``declared``.

        AWS has no operation that lists them.
        """
        reply = await self.plane.get(region, "guardrails", identifier)
        home = region_of(str(reply.get("guardrailArn", "")))
        profile = reply.get("crossRegionDetails", {}).get("guardrailProfileId")
        if profile is None:
            return _at("GetGuardrail", home)
        if not declared:
            return Location((), f"GetGuardrail: AWS does not return the regions of {profile}")
        return _at(f"GetGuardrail, and {profile} as declared", home, *declared)

    async def knowledge_base(self, region: str, identifier: str) -> Location:
        """Return the regions of a knowledge base, its embedding model and its index."""
        reply = await self.plane.get(region, "knowledgebases", identifier, service="bedrock-agent")
        arns = list(_arns(reply.get("knowledgeBase", {})))
        # Roles and buckets' ARNs have no region of their own.
        regions = [region_of(arn) for arn in arns if arn.split(":")[2] not in ("iam", "s3")]
        return _at("GetKnowledgeBase", *regions)


async def bucket(client: "S3Client", name: str) -> Location:
    """Return a bucket's region, or raise as `Locations` does."""
    try:
        reply = await client.get_bucket_location(Bucket=name)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchBucket", "404"):
            raise UnknownToAwsError(f"there is no bucket {name}") from error
        raise ControlPlaneError(f"GetBucketLocation: {code}") from error
    except (BotoCoreError, OSError) as error:
        raise ControlPlaneError(f"S3 can't be reached: {type(error).__name__}") from error
    constraint: Any = reply.get("LocationConstraint")
    return _at("GetBucketLocation", _OF_OLD.get(constraint, constraint))


def _arns(value: object) -> list[str]:
    """Return every ARN anywhere in ``value``."""
    match value:
        case str() if value.startswith("arn:"):
            return [value]
        case dict():
            return [arn for part in value.values() for arn in _arns(part)]
        case list():
            return [arn for part in value for arn in _arns(part)]
    return []


def _at(source: str, *regions: str) -> Location:
    known = tuple(dict.fromkeys(regions))
    return Location(known, source) if known and "" not in known else Location((), source)
