"""The streaming contract, sentence by sentence: docs/streaming.md."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.generation import ModelRequest, StreamParts
from app.domain.model import Dialect
from app.emulator.faults import spelling
from tests.support.clients import sse
from tests.support.clients.metrics import value
from tests.support.emulator.fault_outcomes import BREAKS, DEADLINE, EXCEPTIONS, GATEWAY_REPLIES
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig
from tests.support.service.emulated import running, timeout_for

# A loading model is waited for while another attempt fits before the deadline.
PATIENT = ("not-ready", "loading")

# Before the first event: as a reply, and as the first frame of a stream after its 200.
REFUSED = {
    **EXCEPTIONS,
    **GATEWAY_REPLIES,
    **{f"frame-{name}-after-0": told for name, told in EXCEPTIONS.items()},
    **{f"{name}-after-0": told for name, told in BREAKS.items()},
    "drop": BREAKS["drop"],
    "stall": BREAKS["stall"],
}

# After three pieces of text.
BROKEN = {
    **{f"frame-{name}-after-3": told for name, told in EXCEPTIONS.items()},
    **{f"{name}-after-3": told for name, told in BREAKS.items()},
    "cut": BREAKS["cut"],
}


# No model call ends like this.
OF_KNOWLEDGE_BASES = {"conflict", "dependency-failed", "bad-gateway-exception"}
OF_GUARDRAILS = {"malformed"}


def test_every_fault_of_the_emulators_table_is_tested():
    assert set(EXCEPTIONS) | OF_KNOWLEDGE_BASES == set(spelling.EXCEPTIONS)
    assert set(GATEWAY_REPLIES) | OF_GUARDRAILS == set(spelling.GATEWAY_REPLIES)
    assert set(BREAKS) == set(spelling.BREAKS)


def test_a_stream_is_a_start_deltas_and_one_done_with_the_text_of_a_plain_answer(
    emulator_url, dialect
):
    with running(emulator_url, "", dialect) as service:
        whole = service.ask("What? \N{CAT FACE}").json()
        with service.stream("What? \N{CAT FACE}") as answer:
            events = sse.read(answer)

    events.assert_well_formed()
    assert events.names[-1] == "done"
    assert len(events.named) > 5
    assert events.text == whole["generation"]
    done = events.last()
    latency = done.pop("latency_ms")
    assert latency["first_token"] <= latency["total"]
    first = events.named[0][1]
    assert set(first) == {"id", "model", "images", "warnings"}
    assert first["id"] == done["id"]
    # The cost of an imported model depends on the time it took.
    varying = ("id", "generation", "latency_ms", "cost_usd")
    assert {k: v for k, v in whole.items() if k not in varying} == {
        k: v for k, v in done.items() if k not in varying
    }


def test_an_upload_can_be_streamed(emulator_url, dialect):
    with (
        running(emulator_url, "", dialect) as service,
        service.http.stream(
            "POST",
            "/v1/generate/upload",
            data={"stream": "true"},
            files={"images": ("a.png", ASTRONAUT)},
        ) as answer,
    ):
        events = sse.read(answer)

    events.assert_well_formed()
    assert events.named[0][1]["images"][0]["width"] == 512
    assert "512x512" in events.text


def test_proxies_are_told_not_to_buffer(emulator_url):
    with running(emulator_url) as service, service.stream() as answer:
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["cache-control"] == "no-store"


def test_events_arrive_as_they_are_generated(emulator_url):
    with running(emulator_url, "token-40ms") as service, service.stream() as answer:
        arrived = [time.monotonic() for _ in sse.each(answer)]

    # Generated over more than a quarter of a second: a buffered answer would arrive at once.
    assert arrived[-1] - arrived[0] > 0.25


@pytest.mark.parametrize("fault", REFUSED)
def test_a_refusal_before_the_first_event_keeps_its_own_status(emulator_url, dialect, fault):
    # An open circuit breaker would answer instead of the fault.
    options: Any = {"breaker_threshold": 100, "read_timeout": timeout_for(REFUSED[fault][1])}
    waits = any(name in fault for name in PATIENT)
    patience = {"x-request-timeout": "2"} if waits else {}
    with (
        running(emulator_url, fault, dialect, **options) as service,
        service.stream(headers=patience) as answer,
    ):
        answer.read()
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()

    # The deadline may also pass during an attempt.
    possible = (REFUSED[fault], DEADLINE) if waits else (REFUSED[fault],)
    assert (answer.status_code, body["code"], body["retryable"]) in possible


@pytest.mark.parametrize("fault", BROKEN)
def test_a_failure_in_mid_stream_is_one_terminal_event_with_its_true_status(
    emulator_url, dialect, fault
):
    with (
        running(
            emulator_url, fault, dialect, read_timeout=timeout_for(BROKEN[fault][1])
        ) as service,
        service.stream() as answer,
    ):
        assert answer.status_code == 200
        events = sse.read(answer)

        events.assert_well_formed()
        error = events.last()
        assert (error["status"], error["code"], error["retryable"]) == BROKEN[fault]
        assert error["generation"] == events.text
        assert events.text
        assert error["request_id"] == answer.headers["x-request-id"]
        # Never retried after the first event.
        assert len(service.seen()) == 1


class Talkative(FakeVisionModel):
    """Continues after its end."""

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        async with super().stream(request) as parts:
            burst = [part async for arrived in parts for part in arrived]

        async def twice() -> AsyncIterator[StreamParts]:
            yield (*burst, *burst)
            yield tuple(burst)

        yield twice()


def test_nothing_follows_the_terminal_event_whatever_the_model_sends():
    with (
        serving(Rig(model=Talkative()).app()) as url,
        httpx.stream("POST", f"{url}/v1/generate", json={"prompt": "x", "stream": True}) as answer,
    ):
        events = sse.read(answer)

    events.assert_well_formed()
    assert events.names.count("done") == 1
    assert events.text == "[fake 0 image(s)] x"


def prices_file(folder: Path, *rows: Any) -> Path:
    """Return a price table with ``rows`` and without units of imported models."""
    table = folder / "prices.json"
    table.write_text(json.dumps({"as_of": "2026-01-01", "source": "here", "prices": rows}))
    return table


PRICED = {
    "model": "llama3-2-11b",
    "kinds": ["provisioned-model"],
    "input_usd_per_million": 1000,
    "output_usd_per_million": 2000,
}


def test_tokens_so_far_and_their_cost_are_reported_where_known(emulator_url, tmp_path):
    table = prices_file(tmp_path, PRICED)
    with (
        running(emulator_url, "cut-after-3", prices_file=table) as service,
        service.stream() as answer,
    ):
        error = sse.read(answer).last()

    prompt, generation = error["prompt_token_count"], error["generation_token_count"]
    assert generation >= 3
    assert prompt > 0
    cost = error["cost_usd"]
    assert (cost["input"], cost["output"]) == pytest.approx((prompt / 1000, generation / 500))
    assert cost["total"] == pytest.approx(cost["input"] + cost["output"])


def test_a_failed_streams_cost_is_null_without_a_known_price(emulator_url, dialect, tmp_path):
    table = prices_file(tmp_path)
    with (
        running(emulator_url, "cut-after-3", dialect, prices_file=table) as service,
        service.stream() as answer,
    ):
        error = sse.read(answer).last()

    counted = dialect is Dialect.INVOKE
    assert (error["generation_token_count"] is not None) == counted
    assert error["cost_usd"] is None


def test_a_failed_streams_cost_is_null_without_a_known_count(emulator_url, tmp_path):
    table = prices_file(tmp_path, PRICED)
    with (
        running(emulator_url, "cut-after-3", Dialect.CONVERSE, prices_file=table) as service,
        service.stream() as answer,
    ):
        error = sse.read(answer).last()

    assert error["generation_token_count"] is None
    assert error["cost_usd"] is None


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("frame-throttle-after-3", "model_throttled"),
        ("token-60000ms", "deadline_exceeded"),
    ],
)
def test_a_failed_stream_is_counted_as_failed_under_its_code(emulator_url, fault, code):
    with running(emulator_url, fault) as service:
        with service.stream(headers={"x-request-timeout": "3"}) as answer:
            assert sse.read(answer).last()["code"] == code
        metrics = service.http.get("/metrics").text

    assert value(metrics, "llama_vision_refusals_total", code=code) == 1
    assert value(metrics, "llama_vision_streams_total", outcome="failed") == 1
    assert 'outcome="abandoned"' not in metrics


def test_comments_keep_a_silent_stream_open(emulator_url, dialect):
    with (
        running(emulator_url, "token-400ms", dialect, heartbeat=0.1) as service,
        service.http.stream(
            "POST", "/v1/generate", json={"prompt": "x", "stream": True, "max_gen_len": 4}
        ) as answer,
    ):
        events = sse.Events()
        events.named = list(sse.each(answer, events))

    events.assert_well_formed()
    assert events.comments >= 3


def test_no_comment_comes_before_the_models_first_event(emulator_url, dialect):
    with (
        running(emulator_url, "first-token-600ms", dialect, heartbeat=0.1) as service,
        service.stream() as answer,
    ):
        events = sse.read(answer)

    events.assert_well_formed()
    assert events.comments == 0


def test_the_deadline_ends_a_stream_with_its_terminal_error(emulator_url, dialect):
    headers = {"x-request-timeout": "2"}
    with (
        running(emulator_url, "stall-after-3", dialect) as service,
        service.stream(headers=headers) as answer,
    ):
        events = sse.read(answer)

        events.assert_well_formed()
        assert events.last()["code"] == "deadline_exceeded"
        assert service.outcome() == "client_left"


@pytest.mark.parametrize("stream", [True, False])
def test_the_deadline_before_the_first_event_is_a_504(emulator_url, dialect, stream):
    with running(emulator_url, "stall", dialect) as service:
        answer = service.ask(stream=stream, headers={"x-request-timeout": "1.5"})

        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
        assert service.outcome() == "client_left"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}),
        ("/v1/responses", {"input": "x", "max_output_tokens": 16}),
    ],
)
def test_comments_after_an_event_id_are_not_mistaken_for_events_by_openai_clients(
    emulator_url, path, body
):
    """After an event with an id, the SDK up to 2.37 takes a comment's blank line for an event."""
    with running(emulator_url, "token-400ms", heartbeat=0.1) as service:
        asked = {"model": service.model_id, "stream": True, **body}
        text = service.http.post(path, json=asked).text

    assert text.count(": keep-alive\n\n") >= 3
    assert [line for line in text.splitlines() if line.startswith("id:")] == []
