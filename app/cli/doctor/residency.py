"""Checks of data residency: a line for each hop."""

from collections.abc import AsyncIterator

from app.adapters.aws_session import aws_session
from app.domain.finding import Finding, fault, ok, warning
from app.domain.residency import HopReport, notes
from app.settings import PREFIX, Settings
from app.telemetry.metrics import Metrics
from app.wiring.residency import open_sentinel

MEND = f"Change the hop, or {PREFIX}RESIDENCY; declare what AWS can't be asked about."


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """Yield a finding for each hop: its regions, their source, the verdict and the time."""
    if not settings.residency:
        yield ok("residency", "any region is allowed: none is configured")
        return
    async with open_sentinel(aws_session(), settings, Metrics()) as sentinel:
        await sentinel.survey()
        for report in sentinel.reports.values():
            yield _finding(report, enforced=sentinel.enforces)
        base = settings.identity.base
        for note in notes(sentinel.allowed, {base.name: base.regions}):
            yield warning("residency", note)


def _finding(report: HopReport, *, enforced: bool) -> Finding:
    text = f"{report}, {report.checked:%Y-%m-%d %H:%M:%SZ}"
    if not report.violates:
        return ok("residency", text)
    return fault("residency", text, MEND) if enforced else warning("residency", text, MEND)
