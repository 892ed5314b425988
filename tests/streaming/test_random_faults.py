"""Whatever happens upstream, a client can distinguish success from each kind of failure."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clients import sse
from tests.support.emulator.fault_outcomes import (
    BREAKS,
    DEADLINE,
    EXCEPTIONS,
    GATEWAY_REPLIES,
    Outcome,
)
from tests.support.model.dialects import BEDROCK
from tests.support.service.emulated import running

HARMLESS = None

exceptions = st.sampled_from(sorted(EXCEPTIONS))
refusals = st.sampled_from(sorted({**EXCEPTIONS, **GATEWAY_REPLIES}))
breaks = st.sampled_from(sorted(BREAKS))
faults = st.one_of(
    # Faults, and the codes that the service may report for each.
    refusals.map(lambda name: (name, expected(name))),
    st.builds(lambda name, n: (f"{name}-first-{n}", expected(name)), refusals, st.integers(1, 3)),
    st.builds(
        lambda name, n: (f"frame-{name}-after-{n}", expected(name)), exceptions, st.integers(0, 6)
    ),
    st.builds(lambda name, n: (f"{name}-after-{n}", expected(name)), breaks, st.integers(0, 6)),
    breaks.map(lambda name: (name, expected(name))),
    # Temporary silence, which comments fill.
    st.builds(lambda ms: (f"first-token-{ms}ms", HARMLESS), st.integers(0, 300)),
    st.builds(lambda ms: (f"token-{ms}ms", HARMLESS), st.integers(0, 100)),
    st.builds(lambda ms: (f"drip-{ms}ms", HARMLESS), st.integers(0, 1)),
)
scripts = st.lists(faults, min_size=1, max_size=3)


def expected(name: str) -> Outcome:
    return {**EXCEPTIONS, **GATEWAY_REPLIES, **BREAKS}[name]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts, dialect=st.sampled_from(BEDROCK))
def test_every_stream_ends_with_exactly_one_terminal_event_or_never_begins(
    emulator_url, script, dialect
):
    spelled = ".".join(fault for fault, _ in script)
    # The deadline may come before anything else.
    possible = {outcome for _, outcome in script if outcome is not HARMLESS} | {DEADLINE}
    silent = any(code == "upstream_timeout" for _, code, _ in possible)
    options: Any = {"request_timeout": 3, "read_timeout": 1 if silent else 20, "heartbeat": 0.05}
    with (
        running(emulator_url, spelled, dialect, breaker_threshold=100, **options) as service,
        service.stream() as answer,
    ):
        if answer.status_code != 200:
            answer.read()
            problem = answer.json()
            assert problem["status"] == answer.status_code
            assert kind(problem) in possible
            return
        events = sse.read(answer)

    events.assert_well_formed()
    if events.names[-1] == "done":
        assert "[emulator]" in events.text
        assert events.last()["stop_reason"] == "stop"
    else:
        assert events.last()["generation"] == events.text
        assert kind(events.last()) in possible


def kind(problem: Any) -> Outcome:
    return problem["status"], problem["code"], problem["retryable"]
