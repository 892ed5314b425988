"""Whatever happens upstream, a client can tell success from failure."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.model import Dialect
from tests.streaming.conftest import running
from tests.support import sse

exceptions = st.sampled_from(
    ["throttle", "unavailable", "internal", "timeout", "model-error", "validation", "retired"]
)
scripts = st.lists(
    st.one_of(
        exceptions,
        st.builds("{}-first-{}".format, exceptions, st.integers(1, 3)),
        st.builds("frame-{}-after-{}".format, exceptions, st.integers(0, 6)),
        st.builds(
            "{}-after-{}".format,
            st.sampled_from(["cut", "drop", "stall", "bad-crc"]),
            st.integers(0, 6),
        ),
        st.builds("token-{}ms".format, st.integers(0, 5)),
        st.builds("drip-{}ms".format, st.integers(0, 1)),
    ),
    min_size=1,
    max_size=3,
).map(".".join)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts, dialect=st.sampled_from(list(Dialect)))
def test_every_stream_ends_with_exactly_one_terminal_event_or_never_begins(
    emulator_url, script, dialect
):
    with (
        running(emulator_url, script, dialect, request_timeout=3) as service,
        service.stream() as answer,
    ):
        if answer.status_code != 200:
            answer.read()
            assert answer.json()["status"] == answer.status_code
            return
        events = sse.read(answer)

    events.assert_well_formed()
    if events.names[-1] == "done":
        assert "[emulator]" in events.text
        assert events.last()["stop_reason"] == "stop"
    else:
        assert events.last()["generation"] == events.text
