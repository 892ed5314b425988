"""The regions where data may be processed and kept, and those where it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

EUROPEAN_UNION = frozenset(
    {"eu-central-1", "eu-west-1", "eu-west-3", "eu-south-1", "eu-south-2", "eu-north-1"}
)
"""AWS's regions in the EU, from AWS's own list of regions."""
HERE = "(this machine)"
"""The region of hops with a loopback address."""


class HopKind(StrEnum):
    """The role of a hop."""

    MODEL = "model"
    GUARDRAIL = "guardrail"
    KNOWLEDGE_BASE = "knowledge-base"
    BUCKET = "bucket"
    KEY = "key"
    STORE = "store"
    TELEMETRY = "telemetry"
    ENDPOINT = "endpoint"
    ISSUER = "issuer"
    SOURCE = "source"
    WEBHOOK = "webhook"


class Verdict(StrEnum):
    """Whether a hop is within the allowed regions."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"
    """The location can't be determined, which counts as outside."""
    OPEN = "open"
    """No regions are configured, so any region is allowed."""


@dataclass(frozen=True, slots=True)
class Location:
    """The regions where a hop processes or keeps data."""

    regions: tuple[str, ...]
    """AWS's names of the regions, or the operator's declaration; empty if unknown."""
    source: str
    """The AWS operation that returned them, or ``declared``; otherwise why they are unknown."""


@dataclass(frozen=True, slots=True)
class HopReport:
    """The report on one hop."""

    hop: str
    """``model us-west-2/us.meta…``: its kind and its name."""
    kind: HopKind
    location: Location
    verdict: Verdict
    checked: datetime

    @property
    def violates(self) -> bool:
        """Whether data may not go there."""
        return self.verdict in (Verdict.OUTSIDE, Verdict.UNKNOWN)

    def __str__(self) -> str:
        regions = ", ".join(self.location.regions) or "no region"
        return f"{self.hop}: {self.verdict}, {regions} ({self.location.source})"


def judged(location: Location, allowed: tuple[str, ...]) -> Verdict:
    """Return the verdict on ``location`` under the ``allowed`` regions, of which none allow any."""
    if not allowed:
        return Verdict.OPEN
    if not location.regions or "" in location.regions:
        return Verdict.UNKNOWN
    inside = all(region in allowed or region == HERE for region in location.regions)
    return Verdict.INSIDE if inside else Verdict.OUTSIDE


def region_of(arn: str) -> str:
    """Return the region in an ARN; empty if it names none, like that of a global profile."""
    parts = arn.split(":")
    return parts[3] if len(parts) > 5 and parts[0] == "arn" else ""


def notes(allowed: tuple[str, ...], offered: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return notes about licences and availability in the ``allowed`` regions.

    ``offered`` has the regions of each model that AWS itself offers, by the model's name.
    """
    notices = []
    if not EUROPEAN_UNION.isdisjoint(allowed):
        notices.append(
            "Meta's use policy for Llama 3.2 withholds the licence of multimodal models from "
            "individuals domiciled, and companies with their principal place of business, in the "
            "European Union; users of a product that includes them are exempt."
        )
    for name, regions in offered.items():
        if allowed and not set(regions) & set(allowed):
            notices.append(
                f"AWS offers {name} in {', '.join(regions)} alone; in other regions it takes "
                "imported weights or another model."
            )
    return tuple(notices)
