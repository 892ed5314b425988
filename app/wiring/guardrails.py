"""Opens the guardrail and wraps the model in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioboto3

from app.adapters.bedrock.guardrails.apply import AppliedGuardrail
from app.adapters.bedrock.guardrails.caller import GuardrailCaller
from app.adapters.bedrock.guardrails.checks import GuardrailChecks
from app.adapters.bedrock.runtime import open_runtime
from app.domain.guardrail import Kind
from app.domain.ports import Guardrail, VisionModel
from app.services.guardrails.policies import GuardrailPolicies
from app.services.guardrails.screen import PictureVerdicts, Screen
from app.services.images.pixel_digest import PixelDigests
from app.services.model_stack.guardrail import GuardrailModel
from app.services.registry import Operations
from app.services.residency.sentinel import ResidencySentinel
from app.services.usage import pricing
from app.settings import Settings
from app.wiring.model import connection
from app.wiring.residency_wrappers import resident_guardrail


@asynccontextmanager
async def open_guardrails(
    session: aioboto3.Session,
    settings: Settings,
    policies: GuardrailPolicies,
    operations: Operations,
    digests: PixelDigests,
    residency: ResidencySentinel,
) -> AsyncIterator[Screen | None]:
    """Open the configured guardrail; None if there is none."""
    if policies.default is None:
        yield None
        return
    async with open_guardrail(session, settings) as guardrail:
        yield Screen(
            resident_guardrail(guardrail, residency),
            pricing.load(settings.prices_file).guardrail_units,
            operations.limits,
            operations.metrics,
            PictureVerdicts(digests),
            settings.guardrail_timeout,
            settings.guardrail_window,
            settings.guardrail_overlap,
        )


def guarded(model: VisionModel, policies: GuardrailPolicies, screen: Screen | None) -> VisionModel:
    """Return ``model`` behind the guardrail; unchanged without one."""
    return model if screen is None else GuardrailModel(model, policies, screen)


@asynccontextmanager
async def open_guardrail(session: aioboto3.Session, settings: Settings) -> AsyncIterator[Guardrail]:
    """Open the adapter for the configured kind of guardrail."""
    region = settings.guardrail_region or settings.region
    async with open_runtime(session, connection(settings, region)) as runtime:
        caller = GuardrailCaller(runtime)
        if settings.guardrail_kind is Kind.CHECKS:
            yield GuardrailChecks(caller, settings.guardrail_thresholds)
        else:
            yield AppliedGuardrail(caller)
