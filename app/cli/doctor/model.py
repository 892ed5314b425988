"""Checks of the model: its existence, its lifecycle, its dialect and its answers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.aws_session import aws_session
from app.adapters.bedrock.model_import import sentence
from app.cli.dev import PICTURE
from app.cli.doctor import server
from app.cli.doctor.aws import CONFIG
from app.domain.errors import ModelLoadingError, ServiceError
from app.domain.finding import Finding, fault, ok, warning
from app.domain.generation import CallContext, GenerationRequest, Role, Sampling, Target, Turn
from app.domain.image import ReceivedImage
from app.domain.model import ModelIdentity, ModelKind, identify
from app.services.registry import Services
from app.settings import PREFIX, Settings
from app.wiring.services import open_services

CALL_SECONDS = 60
"""Time limit of a minimal call; a model that was scaled to zero takes longer."""
LEGACY = "LEGACY"
IMPORT = "Import the weights: python -m app import, docs/model.md."
_OPERATIONS = {
    ModelKind.IMPORTED_MODEL: ("get_imported_model", "modelIdentifier"),
    ModelKind.FOUNDATION_MODEL: ("get_foundation_model", "modelIdentifier"),
    ModelKind.INFERENCE_PROFILE: ("get_inference_profile", "inferenceProfileIdentifier"),
    ModelKind.APPLICATION_INFERENCE_PROFILE: (
        "get_inference_profile",
        "inferenceProfileIdentifier",
    ),
    ModelKind.PROVISIONED_MODEL: ("get_provisioned_model_throughput", "provisionedModelId"),
}


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """Yield findings about each target's model."""
    for target in settings.targets:
        if not target.dialect.is_bedrock:
            yield ok("target", f"{target}: dialect {target.dialect}")
            yield await server.check(settings, target)
            continue
        identity = identify(target.model_id, settings.base_model)
        yield ok("target", f"{target}: dialect {target.dialect}, {identity.base.name}")
        ended = identity.base.end_of_life
        own = identity.kind in (ModelKind.FOUNDATION_MODEL, ModelKind.INFERENCE_PROFILE)
        if own and ended is not None and datetime.now(UTC).date() >= ended:
            yield warning("lifecycle", f"Bedrock ended this model on {ended}", IMPORT)
        yield await _model(settings, target, identity)


async def _model(settings: Settings, target: Target, identity: ModelIdentity) -> Finding:
    operation, parameter = _OPERATIONS[identity.kind]
    endpoint = str(settings.endpoint_url) if settings.endpoint_url else None
    try:
        async with aws_session().client(
            "bedrock", region_name=target.region, endpoint_url=endpoint, config=CONFIG
        ) as bedrock:
            reply = await getattr(bedrock, operation)(**{parameter: identity.id})
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "AccessDeniedException":
            name = "".join(word.capitalize() for word in operation.split("_"))
            return warning("model", sentence(error), f"Grant bedrock:{name} to have it looked up.")
        mend = f"Correct {PREFIX}MODEL_ID or {PREFIX}REGION; python -m app models lists imports."
        return fault("model", sentence(error), mend)
    except (BotoCoreError, OSError) as error:
        mend = "Check the network; the model may be served all the same."
        return warning("model", f"the control plane can't be reached: {error}", mend)
    if _lifecycle(reply) == LEGACY:
        return warning("model", f"{_described(reply)}: Bedrock will end it", IMPORT)
    return ok("model", _described(reply))


def _lifecycle(reply: dict[str, Any]) -> str | None:
    status: str | None = reply.get("modelDetails", {}).get("modelLifecycle", {}).get("status")
    return status


def _described(reply: dict[str, Any]) -> str:
    units = reply.get("customModelUnits", {}).get("customModelUnitsPerModelCopy")
    details = reply.get("modelDetails", {})
    words = (
        reply.get("modelName") or reply.get("inferenceProfileName") or details.get("modelName"),
        reply.get("modelArchitecture"),
        reply.get("status") or _lifecycle(reply),
        f"{units} Custom Model Units a copy" if units else None,
    )
    return ", ".join(str(word) for word in words if word) or "is there"


async def call(settings: Settings) -> AsyncIterator[Finding]:
    """Make two minimal calls, which are billed, and yield a finding for each."""
    data = await asyncio.to_thread(PICTURE.read_bytes)
    picture = ReceivedImage(data, "image/png", PICTURE.name)
    try:
        async with open_services(settings) as services:
            yield await _call(services, "call with text")
            yield await _call(services, "call with a picture", picture)
    except (ServiceError, BotoCoreError, OSError) as error:
        yield fault("call", f"the service can't start: {error}", "Correct the faults above first.")


async def _call(services: Services, subject: str, *images: ReceivedImage) -> Finding:
    request = GenerationRequest(
        turns=(Turn(Role.USER, "Say yes.", images),),
        sampling=Sampling(max_gen_len=8),
        call_context=CallContext(deadline=asyncio.get_running_loop().time() + CALL_SECONDS),
    )
    try:
        generation = await services.generations.generate(request)
    except ModelLoadingError as error:
        return warning(subject, error.detail, "Run python -m app warm, then this again.")
    except ServiceError as error:
        return fault(
            subject, f"{error.code}: {error.detail}", f"See {error.code} in docs/errors.md."
        )
    usage = generation.completion.usage
    return ok(
        subject,
        f"{usage.prompt_token_count} + {usage.generation_token_count} tokens in "
        f"{generation.latency.total} ms",
    )
