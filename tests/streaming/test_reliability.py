"""Retries, targets, circuit breakers, limits and idempotency: docs/reliability.md."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.domain.model import Dialect
from app.services.model_stack.retry import RULES
from app.settings.bedrock import Fallback
from tests.support.clients import sse
from tests.support.service.emulated import model_arn, model_kind, running, timeout_for

# fault -> code, and the number of calls without permission for a second bill
CALLS = {
    "throttle": ("model_throttled", 4),
    "overloaded": ("model_overloaded", 4),
    "unavailable": ("upstream_unavailable", 4),
    "internal": ("upstream_unavailable", 4),
    "bad-gateway": ("upstream_unavailable", 4),
    "gateway-timeout": ("upstream_unavailable", 4),
    "model-error": ("model_failed", 2),
    "stream-error": ("model_failed", 2),
    "timeout": ("model_timeout", 1),
    "drop": ("upstream_disconnected", 1),
    "stall": ("upstream_timeout", 1),
    "retired": ("model_end_of_life", 1),
    "legacy": ("model_legacy", 1),
    "not-found": ("model_not_found", 1),
    "denied": ("upstream_access_denied", 1),
    "bad-key": ("upstream_credentials", 1),
    "validation": ("upstream_validation", 1),
    "quota": ("upstream_quota_exceeded", 1),
}
# The number of calls with permission.
SECOND_BILL = {"timeout": 2, "drop": 2, "stall": 2, "model-error": 2, "retired": 1, "validation": 1}
FAST: Any = {"breaker_threshold": 100}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", CALLS)
def test_each_error_is_retried_as_often_as_the_table_says(emulator_url, dialect, fault, stream):
    read_timeout = timeout_for(CALLS[fault][0])
    with running(emulator_url, fault, dialect, read_timeout=read_timeout, **FAST) as service:
        code = service.ask(stream=stream).json()["code"]

        assert (code, len(service.seen())) == CALLS[fault]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", SECOND_BILL)
def test_calls_that_may_have_been_billed_are_retried_only_with_the_callers_permission(
    emulator_url, dialect, fault, stream
):
    read_timeout = timeout_for(CALLS[fault][0])
    with running(emulator_url, fault, dialect, read_timeout=read_timeout, **FAST) as service:
        leave = {"x-allow-second-bill": "true"}

        assert service.ask(stream=stream, headers=leave).status_code >= 400
        assert len(service.seen()) == SECOND_BILL[fault]


@dataclass
class Door:
    """A port that drops every TLS connection."""

    listening: socket.socket
    knocks: int = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.listening.getsockname()[1]}"

    def hang_up(self) -> None:
        while True:
            try:
                caller, _ = self.listening.accept()
            except OSError:
                return
            self.knocks += 1
            caller.close()


@pytest.fixture
def door() -> Iterator[Door]:
    found = Door(socket.create_server(("127.0.0.1", 0)))
    answering = threading.Thread(target=found.hang_up)
    answering.start()
    yield found
    found.listening.shutdown(socket.SHUT_RDWR)
    answering.join()
    found.listening.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_connection_is_tried_three_times(door, dialect, stream, tmp_path):
    # With the units of an imported model, which would be looked up at the same port.
    prices = tmp_path / "prices.json"
    units: Any = {"usd_per_unit_minute": 1, "units_per_copy": {"llama3-2-11b": 2}}
    table: Any = {"as_of": "2026-11-27", "source": "x", "prices": [], "custom_model_units": units}
    prices.write_text(json.dumps(table))
    with running(door.url, "", dialect, prices_file=prices, **FAST) as service:
        answer = service.ask(stream=stream)

    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_unreachable")
    assert door.knocks == 3


def test_every_row_of_the_table_is_counted():
    here = {code for code, _ in CALLS.values()}

    assert {error.code for error in RULES} <= here | {"upstream_unreachable", "model_loading"}


def test_a_temporary_failure_is_answered_after_a_retry(emulator_url, dialect):
    with running(emulator_url, "throttle-first-2", dialect) as service:
        assert service.ask().status_code == 200
        assert [call["status"] for call in service.seen()] == [429, 429, 200]


def test_waiting_for_a_loading_model_uses_no_attempts_of_later_errors(emulator_url, dialect):
    with running(emulator_url, "loading-3.throttle-first-4", dialect) as service:
        assert service.ask().status_code == 200
        assert [call["status"] for call in service.seen()] == [429] * 4 + [200]


def test_a_loading_model_is_waited_for_until_the_deadline(emulator_url, dialect):
    with running(emulator_url, "loading-4", dialect) as service:
        assert service.ask().status_code == 200
        assert len(service.seen()) == 5

    with running(emulator_url, "loading", dialect) as service:
        answer = service.ask(headers={"x-request-timeout": "4"})
        # The next attempt would come too late: the caller gets the last error.
        assert (answer.status_code, answer.json()["code"]) == (503, "model_loading")
        assert len(service.seen()) > 1


def test_retry_after_is_honoured(emulator_url, dialect):
    with running(emulator_url, "overloaded-first-1", dialect) as service:
        # The emulator's Retry-After is one second, more than the time left.
        answer = service.ask(headers={"x-request-timeout": "0.95"})

        assert answer.json()["code"] == "model_overloaded"
        assert answer.headers["retry-after"] == "1"
        assert len(service.seen()) == 1


def test_a_read_timeout_is_reported_as_such(emulator_url, dialect):
    read_timeout = timeout_for("upstream_timeout")
    with running(emulator_url, "stall", dialect, read_timeout=read_timeout, **FAST) as service:
        answer = service.ask()

    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("fault", ["throttle", "retired", "unavailable", "denied", "overloaded"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_target_answers_if_the_first_cannot(emulator_url, fault, stream):
    spare = model_arn()
    fallbacks = (Fallback(model_id=spare, dialect=Dialect.CONVERSE),)
    with running(emulator_url, fault, fallbacks=fallbacks) as service:
        if stream:
            with service.stream() as response:
                answer = sse.read(response).last()
        else:
            answer = service.ask().json()

        assert answer["target"] == {
            "region": "us-west-2",
            "model_id": spare,
            "dialect": "converse",
        }
        assert answer["model"] == spare
        assert len(service.seen()) == 1
        assert len(service.seen(spare)) == 1


@pytest.mark.parametrize("fault", ["validation", "drop"])
def test_no_other_target_is_called_after_an_invalid_request_or_a_possible_bill(emulator_url, fault):
    spare = model_arn()
    with running(emulator_url, fault, fallbacks=(Fallback(model_id=spare),)) as service:
        assert service.ask().status_code >= 400
        assert service.seen(spare) == []


def test_a_stream_that_breaks_before_its_text_is_not_sent_to_another_target(emulator_url, dialect):
    spare = model_arn(kind=model_kind(dialect))
    fallbacks = (Fallback(model_id=spare),)
    with running(emulator_url, "cut-after-0", dialect, fallbacks=fallbacks) as service:
        answer = service.ask(stream=True)
        assert (answer.status_code, answer.json()["code"]) == (502, "stream_truncated")
        assert service.seen(spare) == []

        headers = {"x-allow-second-bill": "true"}
        assert service.ask(stream=True, headers=headers).status_code == 200
        assert len(service.seen(spare)) == 1


@pytest.mark.parametrize("spare_fault", ["throttle-first-2", "loading-2", "unavailable-first-2"])
@pytest.mark.parametrize("stream", [False, True])
def test_if_all_targets_fail_they_are_called_again_in_order(
    emulator_url, dialect, spare_fault, stream
):
    spare = model_arn(spare_fault, model_kind(dialect))
    fallbacks = (Fallback(model_id=spare),)
    with running(emulator_url, "throttle", dialect, fallbacks=fallbacks) as service:
        assert service.ask(stream=stream).status_code == 200
        assert len(service.seen()) == len(service.seen(spare)) == 3


@pytest.mark.parametrize("spare_fault", ["throttle-first-2", "loading-2"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_target_with_an_open_circuit_uses_no_attempt_of_the_others(
    emulator_url, dialect, spare_fault, stream
):
    spare = model_arn(spare_fault, model_kind(dialect))
    options: Any = {"fallbacks": (Fallback(model_id=spare),), "breaker_threshold": 1}
    with running(emulator_url, "denied", dialect, breaker_reset=60, **options) as service:
        assert service.ask(stream=stream).status_code == 200
        assert len(service.seen()) == 1
        assert len(service.seen(spare)) == 3
        (first, second) = service.http.get("/readyz").json()["targets"]
        assert (first["breaker"], second["breaker"]) == ("open", "closed")


def test_a_target_with_a_full_queue_uses_no_attempt_of_the_others(emulator_url, dialect):
    spare = model_arn("throttle-first-2", model_kind(dialect))
    options: Any = {"max_concurrency": 1, "max_waiting": 0}
    fallbacks = (Fallback(model_id=spare),)
    with (
        running(
            emulator_url, "first-token-3000ms", dialect, fallbacks=fallbacks, **options
        ) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        slow = pool.submit(service.ask)
        while not service.seen():
            threading.Event().wait(0.02)

        assert service.ask().json()["target"]["model_id"] == spare
        assert len(service.seen(spare)) == 3
        assert slow.result().json()["target"]["model_id"] == service.model_id


def test_a_targets_long_retry_after_does_not_keep_the_others_from_being_called(
    emulator_url, dialect
):
    spare = model_arn("throttle-first-1", model_kind(dialect))
    fallbacks = (Fallback(model_id=spare),)
    with running(emulator_url, "overloaded", dialect, fallbacks=fallbacks) as service:
        # Its Retry-After of a second is longer than what is left.
        answer = service.ask(headers={"x-request-timeout": "0.9"})

        assert answer.json()["target"]["model_id"] == spare


def test_the_circuit_opens_for_a_target_that_keeps_failing(emulator_url):
    options: Any = {"breaker_threshold": 2, "breaker_reset": 3}
    with running(emulator_url, "timeout-first-2", **options) as service:
        assert [service.ask().json()["code"] for _ in range(2)] == ["model_timeout"] * 2
        refused = service.ask()
        assert (refused.status_code, refused.json()["code"]) == (503, "upstream_circuit_open")
        assert "retry-after" in refused.headers
        assert len(service.seen()) == 2
        (target,) = service.http.get("/readyz").json()["targets"]
        assert target["breaker"] == "open"

        threading.Event().wait(3.1)
        assert service.ask().status_code == 200
        assert service.ask().status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_retired_model_is_reported_as_such_even_while_its_circuit_is_open(
    emulator_url, dialect, stream
):
    with running(emulator_url, "retired", dialect, breaker_threshold=2) as service:
        answers = [service.ask(stream=stream) for _ in range(4)]
        told = {(answer.status_code, answer.json()["code"]) for answer in answers}

        assert told == {(502, "model_end_of_life")}
        assert "retry-after" not in answers[-1].headers
        assert len(service.seen()) == 2
        (target,) = service.http.get("/readyz").json()["targets"]
        assert target["breaker"] == "open"


def test_requests_over_the_concurrency_limit_queue_and_beyond_the_queue_are_refused(emulator_url):
    with (
        running(
            emulator_url, "first-token-1000ms", max_concurrency=1, max_waiting=1, max_wait=5
        ) as service,
        ThreadPoolExecutor(4) as pool,
    ):
        answers = list(pool.map(lambda _: service.ask(), range(4)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200, 200, 503, 503]
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["code"] == "service_overloaded"
            assert int(answer.headers["retry-after"]) >= 1


def test_requests_with_one_idempotency_key_share_one_call(emulator_url):
    headers = {"idempotency-key": "k1"}
    with (
        running(emulator_url, "first-token-200ms") as service,
        ThreadPoolExecutor(3) as pool,
    ):
        answers = list(pool.map(lambda _: service.ask(headers=headers).json(), range(3)))
        later = service.ask(headers=headers).json()
        with service.stream(headers=headers) as response:
            streamed = sse.read(response)

        assert {answer["id"] for answer in [*answers, later]} == {later["id"]}
        streamed.assert_well_formed()
        assert streamed.names == ["start", "delta", "done"]
        assert streamed.last()["id"] == later["id"]
        assert len(service.seen()) == 1

        other = service.ask("Something else?", headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
        assert len(service.seen()) == 1


def test_a_failure_is_not_stored_under_its_idempotency_key(emulator_url):
    headers = {"idempotency-key": "k1"}
    with running(emulator_url, "denied-first-1") as service:
        assert service.ask(headers=headers).status_code == 502
        assert service.ask(headers=headers).status_code == 200


def test_the_retry_table_in_the_docs_matches_the_code():
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (yes|no) \|", text, re.MULTILINE)
    expected = {
        (error.code, "∞" if rule.attempts == float("inf") else str(rule.attempts),
         "yes" if rule.billed else "no")
        for error, rule in RULES.items()
    }  # fmt: skip
    assert set(rows) == expected
