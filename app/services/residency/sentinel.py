"""Resolves every hop at the start and hourly, and decides which may be used."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from app.domain.control_plane import ControlPlaneError, UnknownToAwsError
from app.domain.errors import NotReadyError, ResidencyError
from app.domain.generation import Target
from app.domain.ports import Note, unnoted
from app.domain.residency import HopKind, HopReport, Location, Verdict, judged
from app.telemetry.metrics import RESIDENCY, Metrics

log = structlog.get_logger()

AGAIN = 60
"""Seconds until a hop is resolved again if AWS gave no answer."""
TRUSTED_FOR = 3
"""Intervals for which an earlier location is used while AWS does not answer."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A place to which data goes."""

    kind: HopKind
    name: str
    resolve: Callable[[], Awaitable[Location]]
    """Returns its regions, or raises UnknownToAwsError or ControlPlaneError."""
    target: Target | None = None
    """The target whose model it is."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(slots=True)
class ResidencySentinel:
    """Keeps the location of every hop."""

    hops: Sequence[Hop]
    allowed: tuple[str, ...]
    enforces: bool
    metrics: Metrics
    interval: float = 3600
    """Seconds between two surveys."""
    reports: dict[str, HopReport] = field(default_factory=dict)
    """Reports of hops by kind and name."""
    note: Note = unnoted
    """Called for each hop that left the allowed regions or returned."""

    async def survey(self) -> None:
        """Resolve every hop, concurrently."""
        for hop, report in zip(
            self.hops, await asyncio.gather(*map(self._report, self.hops)), strict=True
        ):
            self._note(hop, report)

    async def _report(self, hop: Hop) -> HopReport:
        now = datetime.now(UTC)
        try:
            location = await hop.resolve()
        except UnknownToAwsError as error:
            location = Location((), error.detail)
        except ControlPlaneError as error:
            before = self.reports.get(str(hop))
            # An earlier location is used for a while, as AWS may not answer for minutes.
            lasts = timedelta(seconds=TRUSTED_FOR * self.interval)
            if before is not None and before.location.regions and now - before.checked < lasts:
                return before
            location = Location((), error.detail)
        return HopReport(str(hop), hop.kind, location, judged(location, self.allowed), now)

    def _note(self, hop: Hop, report: HopReport) -> None:
        before = self.reports.get(str(hop))
        self.reports[str(hop)] = report
        self.metrics.set(RESIDENCY, int(report.violates), hop=str(hop))
        if before is not None and before.verdict is not report.verdict:
            self._note_change(report, before.verdict)
        if report.violates and (before is None or before.location != report.location):
            log.error(
                "hop is outside the residency",
                hop=str(hop),
                verdict=report.verdict,
                regions=report.location.regions,
                source=report.location.source,
                allowed=self.allowed,
                enforced=self.enforces,
            )

    def attach(self, note: Note) -> None:
        """Note the hops that are outside, and from now on each that leaves or returns."""
        self.note = note
        for report in self.violations():
            self._note_change(report, None)

    def _note_change(self, report: HopReport, before: Verdict | None) -> None:
        self.note(
            "residency_changed",
            {
                "hop": report.hop,
                "verdict": report.verdict.value,
                "before": None if before is None else before.value,
                "regions": list(report.location.regions),
                "source": report.location.source,
                "allowed": list(self.allowed),
                "enforced": self.enforces,
            },
        )

    def violations(self) -> tuple[HopReport, ...]:
        """Return the hops to which data may not go, in order."""
        return tuple(report for report in self.reports.values() if report.violates)

    def report_of(self, target: Target) -> HopReport | None:
        """Return the residency report of a target's model."""
        return next((self.reports.get(str(hop)) for hop in self.hops if hop.target == target), None)

    def check(self, kind: HopKind, name: str) -> None:
        """Raise ResidencyError if that hop is outside and residency is enforced."""
        report = self.reports.get(f"{kind} {name}")
        if self.enforces and report is not None and report.violates:
            raise ResidencyError(str(report))

    def check_all(self, kind: HopKind) -> None:
        """Raise ResidencyError if a hop of ``kind`` is outside and residency is enforced."""
        outside = next((r for r in self.violations() if r.kind is kind), None)
        if self.enforces and outside is not None:
            raise ResidencyError(str(outside))

    def check_target(self, target: Target) -> None:
        """Raise ResidencyError if a target's model is outside and residency is enforced."""
        report = self.report_of(target)
        if self.enforces and report is not None and report.violates:
            raise ResidencyError(str(report))

    async def watch(self) -> None:
        """Survey periodically until cancelled."""
        while True:
            unsure = any(r.verdict is Verdict.UNKNOWN for r in self.reports.values())
            await asyncio.sleep(min(AGAIN, self.interval) if unsure else self.interval)
            await self.survey()


@dataclass(frozen=True, slots=True)
class ResidencyReadiness:
    """Ready unless, where residency is enforced, no target or a hop of all requests is outside."""

    sentinel: ResidencySentinel

    async def check(self) -> None:
        """Return, or raise NotReadyError that names the hop."""
        if not self.sentinel.enforces:
            return
        outside = self.sentinel.violations()
        models = [r for r in self.sentinel.reports.values() if r.kind is HopKind.MODEL]
        stops = [r for r in outside if r.kind in (HopKind.STORE, HopKind.KEY, HopKind.TELEMETRY)]
        if models and all(report.violates for report in models):
            stops += models
        if stops:
            raise NotReadyError(f"outside the residency: {'; '.join(map(str, stops))}")
