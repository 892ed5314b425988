"""Another process finishes the job of a killed service."""

import time
from pathlib import Path
from typing import Any

from tests.support.clients.sse import events
from tests.support.files.documents import blank_pdf
from tests.support.files.pictures import b64
from tests.support.service.emulated import model_arn, running
from tests.support.service.serve_command import service


def test_a_job_is_finished_after_the_service_was_killed_in_the_middle_of_it(
    emulator_url: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    settings = {
        "data_directory": str(data),
        "model_id": model_arn("first-token-500ms"),
        "usage_store": "memory",
        "work_lease": "1",
        # One page at a time, so that the job can be interrupted.
        "max_concurrency": "1",
    }
    body: dict[str, Any] = {"images": [b64(blank_pdf(*[(99, 99)] * 4))]}
    with service(tmp_path, emulator_url, **settings) as (client, _):
        job = client.post("/v1/tasks/ocr", json=body, headers={"Prefer": "respond-async"}).json()
        path = f"/v1/jobs/{job['id']}"
        until = time.monotonic() + 60
        while (before := client.get(path).json())["progress"] is None:
            assert time.monotonic() < until, before
            time.sleep(0.02)
        assert before["status"] == "in_progress"
    # The killed process had no time to return its leases.
    with running(emulator_url, data_directory=data, work_lease=1) as restarted:
        until = time.monotonic() + 120
        while not (after := restarted.http.get(path, params={"wait": 10}).json())["response"]:
            assert time.monotonic() < until, after
        told = events(restarted.http.get(f"{path}/events"))

    assert (after["status"], after["response"]["status_code"]) == ("completed", 200)
    pages = [data for name, data in told if name == "progress"]
    assert pages[0] == before["progress"]
    assert [data["done"] for data in pages] == [1, 2, 3, 4]
    assert sorted(data["page"] for data in pages) == [1, 2, 3, 4]
    assert told[-1] == ("result", after["response"]["body"])
    assert len(told) == 5
