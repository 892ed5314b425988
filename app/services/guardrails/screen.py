"""Calls the guardrail, and records its verdict and cost."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil

import structlog

from app.domain.access import Call, Resource
from app.domain.cost import DIGITS, total
from app.domain.errors import GuardrailUnavailableError, RateLimitedError
from app.domain.guardrail import (
    Action,
    Assessment,
    Content,
    FailureMode,
    GuardrailPolicy,
    GuardrailReport,
    Mode,
    Source,
)
from app.domain.image import PreparedImage
from app.domain.limit import MICRO, QuotaStatus
from app.domain.ports import Guardrail
from app.services.access.limits import Limits
from app.services.images.pixel_digest import PixelDigests
from app.telemetry import current, stage
from app.telemetry.metrics import (
    GUARDRAIL_COST,
    GUARDRAIL_FAILURES,
    GUARDRAIL_PICTURES,
    GUARDRAIL_UNITS,
    GUARDRAIL_VERDICTS,
    Metrics,
)

REMEMBERED = 8_192
"""Maximum verdicts on pictures that are cached."""
LEAST = 1
"""Millionths of a dollar that a check takes of the caller's spend before its price is known: one
whose spend is used up is refused."""

log = structlog.get_logger()


@dataclass(slots=True)
class PictureVerdicts:
    """A least-recently-used cache of verdicts, by a picture's pixels and the guardrail."""

    digests: PixelDigests
    _kept: OrderedDict[tuple[str, str], Assessment] = field(default_factory=OrderedDict)

    async def find(
        self, image: PreparedImage, policy: GuardrailPolicy
    ) -> tuple[tuple[str, str], Assessment | None]:
        """Return the picture's key, and its earlier verdict or None."""
        key = policy.guardrail, await self.digests.digest(image)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return key, kept

    def keep(self, key: tuple[str, str], assessment: Assessment) -> None:
        """Cache a verdict without its units, which are billed once."""
        self._kept[key] = Assessment(
            assessment.hits, assessment.blocked, None, {}, assessment.message
        )
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Screen:
    """The guardrail with its price, the callers' limits and the memory of pictures."""

    guardrail: Guardrail
    prices: Mapping[str, float]
    """US dollars for a unit, by policy as in `Assessment`; unknown prices are absent."""
    limits: Limits
    metrics: Metrics
    pictures: PictureVerdicts
    timeout: float
    """Seconds for one check."""
    window: int
    """Characters of a stream that are checked together."""
    overlap: int
    """Characters of them that are checked again with the next."""

    async def check(
        self, content: Content, policy: GuardrailPolicy, mode: Mode, call: Call, name: str
    ) -> tuple[Assessment, GuardrailReport]:
        """Return the verdict on ``content``, which is called ``name``, and its part of the report.

        Where the guardrail can't be asked the policy decides: GuardrailUnavailableError is raised,
        or nothing is found and the report says so.
        """
        began = time.perf_counter()
        try:
            with stage("guardrail"):
                assessment = await self._assess(content, policy, call)
        except GuardrailUnavailableError as error:
            self.metrics.count(GUARDRAIL_FAILURES, source=name)
            log.warning("guardrail not asked", source=name, reason=error.detail)
            if mode is Mode.ENFORCE and policy.on_failure is FailureMode.REFUSE:
                raise
            unchecked = GuardrailReport(unchecked=(name,), latency_ms=_since(began), id=policy.id)
            return Assessment(), unchecked
        action = _action(assessment, mode)
        report = GuardrailReport(
            action,
            assessment.hits,
            (name,) if assessment.hits or assessment.blocked else (),
            assessment.units,
            _since(began),
            self._cost(assessment.units),
            (),
            assessment.message,
            policy.id,
        )
        self.metrics.count(GUARDRAIL_VERDICTS, source=name, action=action.value)
        if action is not Action.NONE:
            log.info(
                "guardrail hit",
                source=name,
                action=action.value,
                mode=mode.value,
                policies=list(report.policies),
            )
        return assessment, report

    async def _assess(self, content: Content, policy: GuardrailPolicy, call: Call) -> Assessment:
        key = None
        if content.images:
            (image,) = content.images
            key, kept = await self.pictures.find(image, policy)
            if kept is not None:
                self.metrics.count(GUARDRAIL_PICTURES)
                return kept
        taken = await self._reserve(content, call)
        try:
            async with asyncio.timeout(self.timeout):
                assessment = await self.guardrail.assess(content, policy)
        except TimeoutError as error:
            raise GuardrailUnavailableError(
                f"The guardrail did not answer within {self.timeout:g} seconds.", retry_after=1
            ) from error
        cost = self._cost(assessment.units)
        # If the price is unknown, only the minimum is taken.
        spent = LEAST if cost is None else ceil(cost * MICRO)
        await self.limits.settle(call, taken, spent - LEAST)
        self._record(assessment.units)
        if key is not None:
            self.pictures.keep(key, assessment)
        return assessment

    async def _reserve(self, content: Content, call: Call) -> tuple[QuotaStatus, ...]:
        try:
            return await self.limits.take(call, Resource.SPEND, LEAST)
        except RateLimitedError:
            # A paid answer is checked whatever is left of the quota.
            if content.source is Source.INPUT:
                raise
            return ()

    def heard(self, report: GuardrailReport | None, policy: GuardrailPolicy) -> GuardrailReport:
        """Return the priced report of a guardrail within the model's call, and count it.

        An answer that says nothing of one may have had none: it is refused with
        GuardrailUnavailableError, or passes with a warning, as the policy says.
        """
        if report is None:
            self.metrics.count(GUARDRAIL_FAILURES, source="model")
            log.warning("guardrail not asked", source="model", reason="the answer has no trace")
            if policy.on_failure is FailureMode.REFUSE:
                raise GuardrailUnavailableError(
                    "Amazon Bedrock's answer does not say that the guardrail was run."
                )
            return GuardrailReport(unchecked=("model",), id=policy.id)
        self._record(report.units)
        for name in report.sources or ("model",):
            self.metrics.count(GUARDRAIL_VERDICTS, source=name, action=report.action.value)
        return replace(report, id=policy.id, cost_usd=self._cost(report.units))

    def _record(self, units: Mapping[str, int]) -> None:
        record = current()
        record.guardrail_units += sum(units.values())
        priced = {name: count for name, count in units.items() if name in self.prices}
        cost = self._cost(priced) or 0
        record.guardrail_cost_usd = round(record.guardrail_cost_usd + cost, DIGITS)
        record.guardrail_units_unpriced += sum(units.values()) - sum(priced.values())
        for policy, count in units.items():
            self.metrics.count(GUARDRAIL_UNITS, count, policy=policy)
        self.metrics.count(GUARDRAIL_COST, cost)

    def _cost(self, units: Mapping[str, int]) -> float | None:
        """Return the cost of ``units``; None if a price is unknown."""
        return total(
            count * self.prices[name] if name in self.prices else None
            for name, count in units.items()
            if count
        )


def _action(assessment: Assessment, mode: Mode) -> Action:
    if not (assessment.blocked or assessment.hits):
        return Action.NONE
    if mode is Mode.AUDIT:
        return Action.AUDITED
    if assessment.blocked:
        return Action.BLOCKED
    return Action.NONE if assessment.texts is None else Action.MASKED


def _since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)
