"""Names, at the end of a run, the tests that lacked a program, and fails the run."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from machine import newest
from tests.support.programs.installed import ENVIRONMENT, MARK


def lacking(reports: list[Any]) -> Iterator[str]:
    """Yield a sentence for each program that tests in ``reports`` lacked."""
    wanted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, mark, thing = reason.partition(MARK)
        if mark:
            wanted[thing][report.nodeid.partition("::")[0]] += 1
    for thing, files in wanted.items():
        suites = ", ".join(f"{file} ({count})" for file, count in sorted(files.items()))
        yield f"Not run: {suites}. Missing: {thing}"


def pytest_report_header() -> str:
    """Name the newest releases that tests/newest runs with, as they are not pinned."""
    record = newest.versions(ENVIRONMENT)
    releases = (
        dict(line.split("==") for line in record.read_text().split()) if record.exists() else {}
    )
    names = newest.names()
    return "newest releases: " + ", ".join(f"{name} {releases.get(name, 'none')}" for name in names)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    sentences = [*lacking(terminalreporter.stats.get("skipped", []))]
    if sentences:
        terminalreporter.section("not run", red=True)
    for sentence in sentences:
        terminalreporter.line(sentence)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    # A worker of pytest-xdist has none: its reports are read where the run is ended.
    if reporter and [*lacking(reporter.stats.get("skipped", []))] and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
