"""Three processes with shared stores behind nginx keep the promises of one process."""

import threading
import time
import uuid
from collections import Counter
from functools import partial

import pytest

from tests.support.service.replicas import at_once

pytestmark = pytest.mark.xdist_group("postgres")


def test_one_idempotency_key_at_three_replicas_at_once_makes_one_call(rehearsal):
    all_of_it, key = rehearsal, rehearsal.key
    prompt, once, before = "What for?", uuid.uuid4().hex, all_of_it.calls()

    answers = at_once(
        [
            partial(all_of_it.ask, url, key, prompt, idempotency_key=once)
            for url in all_of_it.three.urls()
        ]
    )
    another = [
        all_of_it.ask(url, key, "Another?", idempotency_key=once) for url in all_of_it.three.urls()
    ]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert all_of_it.calls() == before + 1
    assert [answer.json()["code"] for answer in another] == ["idempotency_conflict"] * 3


def test_a_limit_of_twenty_is_twenty_over_all_replicas(rehearsal):
    all_of_it, bounded = rehearsal, rehearsal.bounded

    answers = at_once([lambda: all_of_it.ask(all_of_it.balanced, bounded, "Why?")] * 30)

    assert Counter(answer.status_code for answer in answers) == {200: 20, 429: 10}


def test_an_answer_cached_by_one_replica_is_returned_by_another(rehearsal):
    all_of_it, key = rehearsal, rehearsal.key
    prompt, before = f"Why {uuid.uuid4().hex}?", all_of_it.calls()

    for url in all_of_it.three.urls():
        asked = all_of_it.ask(url, key, prompt, cache_control="max-age=60")
        assert asked.status_code == 200

    assert all_of_it.calls() == before + 1


@pytest.mark.long
def test_replicas_restart_in_turn_without_loss_and_a_killed_one_loses_only_its_own_requests(
    rehearsal,
):
    all_of_it, key = rehearsal, rehearsal.key
    three = all_of_it.three
    statuses: Counter[int] = Counter()
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            statuses[all_of_it.ask(all_of_it.balanced, key, "Why?").status_code] += 1

    callers = [threading.Thread(target=load) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        for port in three.ports[:2]:
            three.stop(port)
            three.start(port)
        lost_by_restarts = {status: n for status, n in statuses.items() if status != 200}
        three.kill(three.ports[2])
        after = statuses.total() + 20
        end = time.monotonic() + 60
        while statuses.total() < after and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        ended.set()
        for caller in callers:
            caller.join(60)

    assert lost_by_restarts == {}
    # nginx answers 502 for the requests it held, at most one for each caller.
    assert {*statuses} <= {200, 502}
    assert statuses[502] <= len(callers)
    assert statuses[200] >= 20
