"""The command: runs the checks and prints their findings."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from itertools import chain

import orjson

from app.cli import findings
from app.cli.doctor import (
    aws,
    configuration,
    knowledge_bases,
    machine,
    model,
    residency,
    stores,
)
from app.domain.finding import Finding, Level, fault, worst
from app.settings import SettingsError, load
from app.telemetry.logs import configure

EXIT = {Level.OK: 0, Level.WARNING: 1, Level.FAULT: 2}
"""The exit status by the worst finding."""
MOST_SECONDS = 20
"""Time limit of all checks of one kind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--spend",
        action="store_true",
        help="also make two minimal calls of the model, one with text and one with a picture",
    )


def run(parsed: argparse.Namespace) -> int:
    """Print the findings, and return the exit status of the worst one."""
    configure("error")
    checked = asyncio.run(examine(spend=parsed.spend))
    if parsed.json:
        sys.stdout.write(orjson.dumps(_document(checked), option=orjson.OPT_INDENT_2).decode())
        sys.stdout.write("\n")
    else:
        sys.stdout.write(findings.lines(checked))
        sys.stdout.write(f"\n{_summary(checked)}\n")
    return EXIT[worst(checked)]


async def examine(*, spend: bool = False) -> list[Finding]:
    """Return all findings, in the order in which faults are best mended."""
    checked = [*machine.check()]
    try:
        settings = load()
    except SettingsError as error:
        mend = "See docs/settings.md, then run this again for the rest."
        return [*checked, *(fault("settings", line, mend) for line in str(error).splitlines())]
    checked += configuration.check(settings)
    # At the same time, as each may wait for its time limit.
    several = await asyncio.gather(
        _listed("AWS", aws.check(settings)),
        _listed("model", model.check(settings)),
        _listed("stores", stores.check(settings)),
        _listed("residency", residency.check(settings)),
        _listed("knowledge bases", knowledge_bases.check(settings)),
    )
    checked += chain.from_iterable(several)
    if spend:
        checked += [finding async for finding in model.call(settings)]
    return checked


async def _listed(subject: str, checks: AsyncIterator[Finding]) -> list[Finding]:
    """Return the findings of ``checks``, with a fault if they take longer than `MOST_SECONDS`."""
    checked: list[Finding] = []
    try:
        async with asyncio.timeout(MOST_SECONDS):
            async for finding in checks:
                checked.append(finding)  # noqa: PERF401 - what came in time is kept
    except TimeoutError:
        mend = "Check the network, proxies and DNS; see the lines above."
        checked.append(fault(subject, f"not everything was checked within {MOST_SECONDS} s", mend))
    return checked


def _summary(checked: list[Finding]) -> str:
    faults = sum(finding.level is Level.FAULT for finding in checked)
    warnings = sum(finding.level is Level.WARNING for finding in checked)
    return f"{faults} fault(s), {warnings} warning(s), {len(checked)} checks"


def _document(checked: list[Finding]) -> dict[str, object]:
    return {
        "worst": worst(checked).name.lower(),
        "findings": [
            {
                "level": finding.level.name.lower(),
                "subject": finding.subject,
                "message": finding.message,
                "mend": finding.mend,
            }
            for finding in checked
        ],
    }
