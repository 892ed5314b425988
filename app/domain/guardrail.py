"""Guardrails: policies, verdicts and reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from app.domain.cost import total
from app.domain.image import PreparedImage

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


class Mode(StrEnum):
    """The treatment of a kind of content, from the laxest on."""

    OFF = "off"
    AUDIT = "audit"
    """The content is checked and the verdict recorded; nothing is held back."""
    ENFORCE = "enforce"
    """Blocked content is not sent on; masked content is sent on masked."""


class StreamMode(StrEnum):
    """The time at which the text of a stream is sent, from the laxest on."""

    AUDIT = "audit"
    """Text is sent at once and checked at the end."""
    WINDOW = "window"
    """Text is sent piece by piece, each checked together with the one before."""
    BUFFER = "buffer"
    """All text is sent after the verdict."""


class FailureMode(StrEnum):
    """The treatment of content if a guardrail can't be called, from the laxest on."""

    PASS = "pass"  # noqa: S105 - no password
    """The content passes, with a warning."""
    REFUSE = "refuse"


class Kind(StrEnum):
    """The API that checks."""

    APPLY = "apply"
    """ApplyGuardrail, called by this service: texts and pictures."""
    CHECKS = "checks"
    """InvokeGuardrailChecks, called by this service: scores for texts, with our own thresholds."""
    MODEL = "model"
    """Bedrock itself, within the call of the model."""


CONTENT_CHECKS = ("VIOLENCE", "HATE", "SEXUAL", "MISCONDUCT", "INSULTS")
"""Categories of content that `Kind.CHECKS` scores."""
PROMPT_CHECKS = ("JAILBREAK", "PROMPT_INJECTION", "PROMPT_LEAKAGE")
"""Prompt attacks that `Kind.CHECKS` scores in incoming content."""
PERSONAL_ENTITIES = frozenset(
    [
        "ADDRESS",
        "AGE",
        "AWS_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "CA_HEALTH_NUMBER",
        "CA_SOCIAL_INSURANCE_NUMBER",
        "CREDIT_DEBIT_CARD_CVV",
        "CREDIT_DEBIT_CARD_EXPIRY",
        "CREDIT_DEBIT_CARD_NUMBER",
        "DRIVER_ID",
        "EMAIL",
        "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
        "IP_ADDRESS",
        "LICENSE_PLATE",
        "MAC_ADDRESS",
        "NAME",
        "PASSWORD",
        "PHONE",
        "PIN",
        "SWIFT_CODE",
        "UK_NATIONAL_HEALTH_SERVICE_NUMBER",
        "UK_NATIONAL_INSURANCE_NUMBER",
        "UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER",
        "URL",
        "USERNAME",
        "US_BANK_ACCOUNT_NUMBER",
        "US_BANK_ROUTING_NUMBER",
        "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER",
        "US_PASSPORT_NUMBER",
        "US_SOCIAL_SECURITY_NUMBER",
        "VEHICLE_IDENTIFICATION_NUMBER",
    ]
)
"""Kinds of personal information that `Kind.CHECKS` finds."""


class Source(StrEnum):
    """The direction of the content, in AWS's terms."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


class Action(StrEnum):
    """The outcome of the checks, from the mildest on."""

    NONE = "none"
    AUDITED = "audited"
    """A policy matched, and the content was not changed."""
    MASKED = "masked"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class GuardrailPolicy:
    """The modes in which one caller's requests are checked, and the guardrail."""

    input: Mode = Mode.OFF
    """The mode for prompts, system texts, earlier turns and all other text for the model."""
    output: Mode = Mode.OFF
    image: Mode = Mode.OFF
    stream: StreamMode = StreamMode.BUFFER
    on_failure: FailureMode = FailureMode.REFUSE
    kind: Kind = Kind.APPLY
    id: str = ""
    """The guardrail's identifier or ARN; empty for `Kind.CHECKS`, which needs none."""
    version: str = ""
    """A number or ``DRAFT``; for `Kind.CHECKS` a text that identifies its thresholds."""

    @property
    def active(self) -> bool:
        """Whether anything is checked."""
        return any(mode is not Mode.OFF for mode in (self.input, self.output, self.image))

    @property
    def guardrail(self) -> str:
        """The guardrail and its version, which decide a verdict."""
        return f"{self.kind}/{self.id}/{self.version}"

    @property
    def fingerprint(self) -> str:
        """The parts of the policy that determine what a caller sees."""
        modes = (self.input, self.output, self.image, self.on_failure)
        return f"{self.guardrail}/{'/'.join(modes)}"


@dataclass(frozen=True, slots=True)
class GuardrailWish:
    """A request's own wishes for the policy."""

    modes: Mapping[str, str] = field(default_factory=dict)
    """Modes by the name of a `GuardrailPolicy` field: ``input``, ``output``, ``image``, …"""
    id: str | None = None
    """The guardrail that the request names; None if it names none."""
    version: str | None = None
    place: str = "X-Guardrail-Policy"
    """The path of the wish in the request, for errors."""


def joined(one: GuardrailWish | None, other: GuardrailWish | None) -> GuardrailWish | None:
    """Return both wishes as one; if both name a mode, that of ``other`` counts."""
    if one is None or other is None:
        return one or other
    return GuardrailWish(
        {**one.modes, **other.modes},
        one.id or other.id,
        one.version or other.version,
        one.place,
    )


KINDS: dict[str, type[StrEnum]] = {
    "input": Mode,
    "output": Mode,
    "image": Mode,
    "stream": StreamMode,
    "on_failure": FailureMode,
}
"""The members of a policy that a key or a request may set, with their types."""


def parse(modes: Mapping[str, str]) -> dict[str, StrEnum]:
    """Parse ``{"input": "enforce", "stream": "window"}``. Raises ValueError with the fault."""
    choices: dict[str, StrEnum] = {}
    for name, value in modes.items():
        if name not in KINDS:
            raise ValueError(f"{name}: is not one of {', '.join(KINDS)}")
        try:
            choices[name] = KINDS[name](value)
        except ValueError:
            raise ValueError(f"{name}: is not one of {', '.join(KINDS[name])}") from None
    return choices


def with_modes(policy: GuardrailPolicy, modes: Mapping[str, str]) -> GuardrailPolicy:
    """Return ``policy`` with ``modes`` in place of its own. Raises ValueError."""
    changes: dict[str, object] = dict(parse(modes))
    return replace(policy, **changes)  # type: ignore[arg-type] # `KINDS` gives each its type


def rank(choice: StrEnum) -> int:
    """Return a choice's rank among those of its kind; the mildest has 0."""
    return list(type(choice)).index(choice)


@dataclass(frozen=True, slots=True)
class Content:
    """The text and pictures that a guardrail judges."""

    source: Source
    texts: tuple[str, ...] = ()
    images: tuple[PreparedImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule of a guardrail that matched: its name, never the content."""

    policy: str
    """The kind of rule: ``content``, ``topic``, ``word``, ``pii``, ``regex``, …"""
    name: str
    """The rule: ``VIOLENCE``, ``EMAIL``; ``custom`` for a word, which would be the content."""
    masks: bool = False
    """Whether the match is masked; otherwise the content is blocked."""

    def __str__(self) -> str:
        return f"{self.policy}:{self.name}"


@dataclass(frozen=True, slots=True)
class Assessment:
    """A guardrail's verdict on content."""

    hits: tuple[Hit, ...] = ()
    blocked: bool = False
    texts: tuple[str, ...] | None = None
    """The masked texts; None if they are unchanged."""
    units: Mapping[str, int] = field(default_factory=dict)
    """Units processed, by policy: ``content``, ``word``, ``content_image``, …"""
    message: str = ""
    """The guardrail's own message that replaces blocked content."""


@dataclass(frozen=True, slots=True)
class GuardrailReport:
    """The outcome of the checks of one answer. Names and numbers, never content."""

    action: Action = Action.NONE
    hits: tuple[Hit, ...] = ()
    sources: tuple[str, ...] = ()
    """The places where policies matched: ``input``, ``output``, ``image``."""
    units: Mapping[str, int] = field(default_factory=dict)
    latency_ms: int = 0
    """Total milliseconds of the checks; simultaneous ones are added up."""
    cost_usd: float | None = 0
    """Cost at the listed price, part of the answer's cost; None if a unit's price is unknown."""
    unchecked: tuple[str, ...] = ()
    """The kinds of content that passed unchecked because the guardrail could not be called."""
    message: str = ""
    """As in `Assessment`."""
    id: str = ""
    """The guardrail's identifier."""

    @property
    def policies(self) -> tuple[str, ...]:
        """The names of the rules that matched."""
        return tuple(dict.fromkeys(map(str, self.hits)))

    def __add__(self, other: "GuardrailReport") -> "GuardrailReport":
        names = (*self.units, *other.units)
        return GuardrailReport(
            max(self.action, other.action, key=rank),
            (*self.hits, *other.hits),
            tuple(dict.fromkeys((*self.sources, *other.sources))),
            {name: self.units.get(name, 0) + other.units.get(name, 0) for name in names},
            self.latency_ms + other.latency_ms,
            total((self.cost_usd, other.cost_usd)),
            tuple(dict.fromkeys((*self.unchecked, *other.unchecked))),
            self.message or other.message,
            self.id or other.id,
        )
