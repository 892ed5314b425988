"""Guardrails: policies, verdicts and reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from app.domain.cost import total
from app.domain.image import PreparedImage

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


class Mode(StrEnum):
    """A way to treat a kind of content. The laxest stands first."""

    OFF = "off"
    AUDIT = "audit"
    """The content is checked and the verdict recorded; nothing is held back."""
    ENFORCE = "enforce"
    """Blocked content is not sent on; masked content is sent on masked."""


class StreamMode(StrEnum):
    """When the text of a stream is sent. The laxest stands first."""

    AUDIT = "audit"
    """Text is sent at once and checked at the end."""
    WINDOW = "window"
    """Piece by piece, each checked with the one before."""
    BUFFER = "buffer"
    """All together, after the verdict."""


class FailureMode(StrEnum):
    """A way to go on where a guardrail can't be asked. The laxest stands first."""

    PASS = "pass"  # noqa: S105 - no password
    """The content passes, with a warning."""
    REFUSE = "refuse"


class Kind(StrEnum):
    """The API that checks."""

    APPLY = "apply"
    """ApplyGuardrail, called by this service: texts and pictures."""
    CHECKS = "checks"
    """InvokeGuardrailChecks, called by this service: scores of texts, thresholds of its own."""
    MODEL = "model"
    """Bedrock itself, within the call of the model."""


CONTENT_CHECKS = ("VIOLENCE", "HATE", "SEXUAL", "MISCONDUCT", "INSULTS")
"""Categories of content that `Kind.CHECKS` scores."""
PROMPT_CHECKS = ("JAILBREAK", "PROMPT_INJECTION", "PROMPT_LEAKAGE")
"""Attacks on the prompt that it scores in incoming content."""
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
"""Kinds of personal information that it finds."""


class Source(StrEnum):
    """The direction of the content, as AWS calls it."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


class Action(StrEnum):
    """The outcome of the checks. The mildest stands first."""

    NONE = "none"
    AUDITED = "audited"
    """A policy hit, and nothing was done about it."""
    MASKED = "masked"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class GuardrailPolicy:
    """How strictly one caller's requests are checked, and by which guardrail."""

    input: Mode = Mode.OFF
    """Prompts, system texts, earlier turns, and all other text that the model is shown."""
    output: Mode = Mode.OFF
    image: Mode = Mode.OFF
    stream: StreamMode = StreamMode.BUFFER
    on_failure: FailureMode = FailureMode.REFUSE
    kind: Kind = Kind.APPLY
    id: str = ""
    """Identifier or ARN; empty for `Kind.CHECKS`, which needs none."""
    version: str = ""
    """A number, or ``DRAFT``; for `Kind.CHECKS` what tells its thresholds from others."""

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
        """The parts of the policy that decide what a caller is shown."""
        modes = (self.input, self.output, self.image, self.on_failure)
        return f"{self.guardrail}/{'/'.join(modes)}"


@dataclass(frozen=True, slots=True)
class GuardrailWish:
    """A request's own wishes for the policy."""

    modes: Mapping[str, str] = field(default_factory=dict)
    """Modes by the name of a `GuardrailPolicy` field: ``input``, ``output``, ``image``, …"""
    id: str | None = None
    """The guardrail that the request names, None where it names none."""
    version: str | None = None
    place: str = "X-Guardrail-Policy"
    """The place of the wish in the request, for errors."""


def joined(one: GuardrailWish | None, other: GuardrailWish | None) -> GuardrailWish | None:
    """Return both wishes as one; the modes of ``other`` count where both name one."""
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
"""The members of a policy that a key or a request may set, with what they may be."""


def parse(modes: Mapping[str, str]) -> dict[str, StrEnum]:
    """Read ``{"input": "enforce", "stream": "window"}``, or raise ValueError that names a fault."""
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
    """Return ``policy`` with ``modes`` in the place of its own, or raise ValueError."""
    changes: dict[str, object] = dict(parse(modes))
    return replace(policy, **changes)  # type: ignore[arg-type]  # by `KINDS` each has its type


def rank(choice: StrEnum) -> int:
    """Return a choice's place among those of its kind, of which the mildest stands first."""
    return list(type(choice)).index(choice)


@dataclass(frozen=True, slots=True)
class Content:
    """The text and pictures that a guardrail is to judge."""

    source: Source
    texts: tuple[str, ...] = ()
    images: tuple[PreparedImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule of a guardrail that a content met. Its name, never the content."""

    policy: str
    """The kind of rule: ``content``, ``topic``, ``word``, ``pii``, ``regex``, …"""
    name: str
    """The rule: ``VIOLENCE``, ``EMAIL``; ``custom`` for a word, which would be the content."""
    masks: bool = False
    """Whether what it met is masked; else the content is blocked."""

    def __str__(self) -> str:
        return f"{self.policy}:{self.name}"


@dataclass(frozen=True, slots=True)
class Assessment:
    """A guardrail's verdict on a content."""

    hits: tuple[Hit, ...] = ()
    blocked: bool = False
    texts: tuple[str, ...] | None = None
    """The content's texts, masked; None where they stay as they are."""
    units: Mapping[str, int] = field(default_factory=dict)
    """Units processed, by policy: ``content``, ``word``, ``content_image``, …"""
    message: str = ""
    """The guardrail's own message in place of blocked content."""


@dataclass(frozen=True, slots=True)
class GuardrailReport:
    """The outcome of the checks of one answer. Names and numbers, never content."""

    action: Action = Action.NONE
    hits: tuple[Hit, ...] = ()
    sources: tuple[str, ...] = ()
    """The places where policies matched: ``input``, ``output``, ``image``."""
    units: Mapping[str, int] = field(default_factory=dict)
    latency_ms: int = 0
    """Milliseconds that the checks took, those at the same time added up."""
    cost_usd: float | None = 0
    """Cost at list price, part of the answer's cost; None if a unit's price is unknown."""
    unchecked: tuple[str, ...] = ()
    """The content that passed although the guardrail could not be asked."""
    message: str = ""
    """As in `Assessment`."""
    id: str = ""
    """The guardrail's."""

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the rules that hit."""
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
