"""Guardrails: what is checked, how strictly, and by which API."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.guardrail import (
    CONTENT_CHECKS,
    PERSONAL_ENTITIES,
    PROMPT_CHECKS,
    FailureMode,
    GuardrailPolicy,
    Kind,
    Mode,
    StreamMode,
)
from app.settings.types import MOST, Region, Seconds


class GuardrailSettings(BaseModel):
    """Guardrails: what is checked, how strictly, and by which API."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    guardrail_kind: Annotated[
        Kind | None,
        Field(
            description="API that checks: `apply` (ApplyGuardrail: texts and pictures), "
            "`checks` (InvokeGuardrailChecks: scores for texts), `model` (Bedrock itself, "
            "within the call of the model). Unset: no guardrail, regardless of keys and "
            "requests. See docs/guardrails.md."
        ),
    ] = None
    guardrail_id: Annotated[
        str | None,
        Field(
            pattern=r"^([a-z0-9]+|arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/"
            r"[a-z0-9]+)(\.[a-z0-9.-]+)?$",
            max_length=2048,
            description="The guardrail's identifier or ARN; for `apply` and `model`.",
        ),
    ] = None
    guardrail_version: Annotated[
        str,
        Field(
            pattern=r"^([1-9][0-9]{0,7}|DRAFT)$", description="The guardrail's version, or `DRAFT`."
        ),
    ] = "DRAFT"
    guardrail_region: Annotated[
        Region | None,
        Field(
            description="AWS region of the guardrail, if it differs from `region`.",
        ),
    ] = None
    guardrail_input: Annotated[
        Mode,
        Field(
            description="What is done with texts that go to the model: `off`, `audit` (they are "
            "checked and recorded) or `enforce`. A key's own policy replaces this, and a "
            "request may make it stricter; that is true of the next four settings as well."
        ),
    ] = Mode.ENFORCE
    guardrail_output: Annotated[Mode, Field(description="The same for answers.")] = Mode.ENFORCE
    guardrail_image: Annotated[
        Mode, Field(description="The same for pictures, which only `apply` can check.")
    ] = Mode.OFF
    guardrail_stream: Annotated[
        StreamMode,
        Field(
            description="When a stream's text is sent: `buffer` (all of it after the verdict), "
            "`window` (piece by piece, each after its own verdict) or `audit` (at "
            "once, checked at the end)."
        ),
    ] = StreamMode.BUFFER
    guardrail_on_failure: Annotated[
        FailureMode,
        Field(
            description="What happens if a check can't be made: `refuse`, or `pass` with the "
            "warning `guardrail_not_asked`."
        ),
    ] = FailureMode.REFUSE
    guardrail_timeout: Annotated[
        Seconds, Field(description="Maximum seconds of one check, retries included.")
    ] = 5
    guardrail_window: Annotated[
        int, Field(ge=50, le=MOST, description="Characters of a stream that are checked together.")
    ] = 400
    guardrail_overlap: Annotated[
        int,
        Field(
            ge=1,
            le=MOST,
            description="Characters at a window's end that are held back and checked again with "
            "the next window: as many as the longest text that the guardrail has to find.",
        ),
    ] = 100
    guardrail_thresholds: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1)]],
        Field(
            description="For `checks`: minimum scores at which a text is blocked, by category, "
            'and personal information is masked, by entity, as JSON: `{"VIOLENCE": 0.5, '
            '"EMAIL": 0.8}`. Categories and entities without a threshold are not checked.'
        ),
    ] = dict.fromkeys((*CONTENT_CHECKS, *PROMPT_CHECKS), 0.5)

    @model_validator(mode="after")
    def _check_guardrail(self) -> Self:
        kind = self.guardrail_kind
        if self.guardrail_overlap >= self.guardrail_window:
            raise ValueError("guardrail_overlap: is not less than guardrail_window")
        known = {*CONTENT_CHECKS, *PROMPT_CHECKS, *PERSONAL_ENTITIES}
        if unknown := sorted(self.guardrail_thresholds.keys() - known):
            raise ValueError(
                f"guardrail_thresholds: Bedrock has no check {unknown[0]!r}; there are "
                f"{', '.join(sorted(known))}"
            )
        if kind in (Kind.APPLY, Kind.MODEL) and self.guardrail_id is None:
            raise ValueError(f"guardrail_id: is missing, but guardrail_kind is {kind}")
        if kind is Kind.CHECKS and self.guardrail_image is not Mode.OFF:
            raise ValueError("guardrail_image: has to be off, for guardrail_kind is checks")
        if kind is Kind.CHECKS and not self.guardrail_thresholds:
            raise ValueError("guardrail_thresholds: names nothing to check")
        modes = (self.guardrail_input, self.guardrail_output)
        if kind is Kind.MODEL and modes != (Mode.ENFORCE, Mode.ENFORCE):
            raise ValueError("guardrail_input: Bedrock enforces input and output, or nothing")
        return self

    @property
    def guardrail_policy(self) -> GuardrailPolicy | None:
        """The service's own policy; None if no guardrail is configured."""
        kind = self.guardrail_kind
        if kind is None:
            return None
        limits = sorted(self.guardrail_thresholds.items())
        scores = ",".join(f"{name}={score:g}" for name, score in limits)
        checks = kind is Kind.CHECKS
        return GuardrailPolicy(
            self.guardrail_input,
            self.guardrail_output,
            self.guardrail_image,
            self.guardrail_stream,
            self.guardrail_on_failure,
            kind,
            "" if checks else self.guardrail_id or "",
            scores if checks else self.guardrail_version,
        )
