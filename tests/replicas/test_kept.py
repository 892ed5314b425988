"""Files, batches, jobs and callers' stored data are the same at every replica."""

import json
import time
import uuid
from collections import Counter
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("postgres")

ROWS = 40


def rows(count: int) -> bytes:
    """Return a batch's input, each row with a prompt of its own."""
    return b"".join(
        json.dumps(
            {
                "custom_id": f"row-{n}",
                "method": "POST",
                "url": "/v1/generate",
                "body": {"prompt": f"Say {n}", "max_gen_len": 16},
            }
        ).encode()
        + b"\n"
        for n in range(count)
    )


def upload(rehearsal: Any, url: str, content: bytes) -> str:
    answer = rehearsal.request(
        url, "POST", "/v1/files", data={"purpose": "batch"}, files={"file": ("r.jsonl", content)}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def begin(rehearsal: Any, url: str, file: str) -> str:
    answer = rehearsal.request(
        url, "POST", "/v1/batches", json={"input_file_id": file, "endpoint": "/v1/generate"}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def ended(rehearsal: Any, url: str, path: str) -> dict[str, Any]:
    """Return the object at ``path`` once it has ended."""
    until = time.monotonic() + 120
    while True:
        shown: dict[str, Any] = rehearsal.request(url, "GET", path).json()
        if shown["status"] in ("completed", "cancelled", "failed", "succeeded"):
            return shown
        assert time.monotonic() < until, shown
        time.sleep(0.1)


def output(rehearsal: Any, url: str, batch: dict[str, Any]) -> list[str]:
    """Return the ids of the answered rows in order."""
    content = rehearsal.request(url, "GET", f"/v1/files/{batch['output_file_id']}/content").text
    return [json.loads(line)["custom_id"] for line in content.splitlines()]


def test_one_replicas_file_is_read_and_deleted_through_others(rehearsal):
    first, second, third = rehearsal.three.urls()
    content = rows(3)

    file = upload(rehearsal, first, content)
    read = rehearsal.request(second, "GET", f"/v1/files/{file}/content")
    listed = rehearsal.request(third, "GET", "/v1/files").json()["data"]
    deleted = rehearsal.request(third, "DELETE", f"/v1/files/{file}")

    assert read.content == content
    assert file in [each["id"] for each in listed]
    assert deleted.json()["deleted"] is True
    assert [
        rehearsal.request(u, "GET", f"/v1/files/{file}").status_code for u in (first, second)
    ] == [404, 404]


def test_all_replicas_together_answer_a_batch_once(rehearsal):
    first, second, third = rehearsal.three.urls()
    before = rehearsal.calls()

    batch = begin(rehearsal, second, upload(rehearsal, first, rows(ROWS)))
    shown = ended(rehearsal, third, f"/v1/batches/{batch}")

    assert shown["status"] == "completed"
    assert shown["request_counts"] == {"total": ROWS, "completed": ROWS, "failed": 0}
    assert output(rehearsal, first, shown) == [f"row-{n}" for n in range(ROWS)]
    assert rehearsal.calls() == before + ROWS


def test_a_batch_can_be_cancelled_at_another_replica_than_the_one_that_created_it(rehearsal):
    first, second, third = rehearsal.three.urls()
    batch = begin(rehearsal, first, upload(rehearsal, first, rows(2000)))

    rehearsal.request(second, "POST", f"/v1/batches/{batch}/cancel")
    shown = ended(rehearsal, third, f"/v1/batches/{batch}")
    counted = Counter(shown["request_counts"])

    assert shown["status"] == "cancelled"
    assert counted["completed"] + counted["failed"] <= counted["total"]


def test_a_jobs_answer_is_available_and_erasable_at_any_replica(rehearsal):
    first, second, third = rehearsal.three.urls()
    made = rehearsal.request(
        first, "POST", "/v1/generate", json={"prompt": "Why?"}, headers={"Prefer": "respond-async"}
    )
    job = f"/v1/jobs/{made.json()['id']}"

    shown = ended(rehearsal, second, job)
    erased = rehearsal.request(third, "DELETE", job)

    assert shown["response"]["body"]["generation"]
    assert erased.status_code in (200, 204)
    assert rehearsal.request(first, "GET", job).status_code == 404


def test_erasing_a_caller_at_one_replica_erases_it_at_all(rehearsal):
    first, second, third = rehearsal.three.urls()
    once = uuid.uuid4().hex
    file = upload(rehearsal, first, rows(3))
    before = rehearsal.ask(first, rehearsal.key, "Kept?", idempotency_key=once).json()["id"]

    erased = rehearsal.request(second, "DELETE", f"/v1/callers/{rehearsal.caller}/data")
    after = [
        rehearsal.ask(url, rehearsal.key, "Kept?", idempotency_key=once).json()["id"]
        for url in (first, third)
    ]

    assert erased.json()["left"] == []
    assert rehearsal.request(third, "GET", f"/v1/files/{file}").status_code == 404
    assert before not in after
    assert after[0] == after[1]


@pytest.mark.long
def test_a_replica_killed_during_a_batch_leaves_its_rows_to_the_others(rehearsal):
    first, second, _ = rehearsal.three.urls()
    batch = begin(rehearsal, first, upload(rehearsal, first, rows(300)))
    until = time.monotonic() + 60
    while not rehearsal.request(second, "GET", f"/v1/batches/{batch}").json()["request_counts"][
        "completed"
    ]:
        assert time.monotonic() < until
        time.sleep(0.05)

    rehearsal.three.kill(rehearsal.three.ports[0])
    try:
        shown = ended(rehearsal, second, f"/v1/batches/{batch}")
    finally:
        rehearsal.three.start(rehearsal.three.ports[0])

    assert shown["request_counts"] == {"total": 300, "completed": 300, "failed": 0}
    assert output(rehearsal, second, shown) == [f"row-{n}" for n in range(300)]
