"""Repeated refusals are counted in the log."""

import asyncio

import structlog

from app.telemetry import RequestRecord, repeats
from app.telemetry.repeats import LINES, CountedRefusals


async def test_repeated_refusals_are_logged_up_to_a_limit_and_counted(monkeypatch):
    monkeypatch.setattr(repeats, "WINDOW", 0.01)
    told: list[RequestRecord] = []
    refusals = CountedRefusals(told.append)
    with structlog.testing.capture_logs() as logged:
        for _ in range(48_818):
            refusals(RequestRecord(status=503, code="service_overloaded"))
        refusals(RequestRecord(status=401, code="credentials_missing"))
        await asyncio.sleep(0.05)
        refusals(RequestRecord(status=503, code="service_overloaded"))

    assert len(told) == LINES + 2
    assert [(line["code"], line["repeats"]) for line in logged] == [
        ("service_overloaded", 48_818 - LINES)
    ]


async def test_answers_of_a_route_are_always_recorded():
    told: list[RequestRecord] = []
    refusals = CountedRefusals(told.append)
    for _ in range(1000):
        refusals(RequestRecord(status=422, code="unknown_field", route="/v1/generate"))
        refusals(RequestRecord(status=200))

    assert len(told) == 2000
