"""`/v1/files` and `/v1/uploads`: the openai SDK, ranges, owners, quota, expiry, both stores."""

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from app.domain.access import Scope
from app.domain.file import PIECE
from app.settings import Settings
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ROCKET, b64
from tests.support.servers.s3 import REGION, s3_client, s3_server
from tests.support.servers.uvicorn import serving
from tests.support.service.access import add_key, guarded
from tests.support.service.application import Rig

LINES = b'{"custom_id": "a"}\n' * 40_000


def settings_of(data: Path, **more: Any) -> Settings:
    return Settings(_env_file=None, data_directory=data, **more)


@contextmanager
def served(data: Path, **more: Any) -> Iterator[str]:
    with serving(Rig(settings=settings_of(data, **more)).app()) as url:
        yield url


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    with s3_server() as url:
        client = s3_client(url)
        client.create_bucket(
            Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield {
            "files_store": "s3",
            "files_bucket": "kept/here",
            "files_region": REGION,
            "files_endpoint_url": url,
        }


@pytest.fixture(params=["directory", "s3"])
def url(request, tmp_path) -> Iterator[str]:
    more = {}
    if request.param == "s3":
        # A folder of its own, without other tests' files.
        more = {**request.getfixturevalue("bucket"), "files_bucket": f"kept/{tmp_path.name}"}
    with served(tmp_path, files_quota_bytes=4_000_000, **more) as url:
        yield url


@pytest.fixture
def client(url) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture
def http(url) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


def test_the_sdk_uploads_shows_lists_reads_and_deletes(client):
    made = client.files.create(
        file=("rows.jsonl", LINES),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 7200},
    )

    assert (made.filename, made.bytes, made.purpose) == ("rows.jsonl", len(LINES), "batch")
    assert made.expires_at is not None
    assert abs(made.expires_at - made.created_at - 7200) <= 1
    assert client.files.retrieve(made.id) == made
    assert made in list(client.files.list())
    assert client.files.content(made.id).content == LINES
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError, match="there is no file"):
        client.files.retrieve(made.id)
    assert made not in list(client.files.list())


def test_files_are_listed_newest_first_in_pages(client):
    ids = [client.files.create(file=("a.jsonl", b"{}"), purpose="batch").id for _ in range(5)]

    page = client.files.list(limit=2)
    older = client.files.list(limit=2, after=page.data[-1].id)
    oldest = client.files.list(limit=3, order="asc", purpose="batch")

    assert page.has_more
    assert [f.id for f in (*page.data, *older.data)] == sorted(ids)[:0:-1]
    assert oldest.data[0].created_at <= oldest.data[-1].created_at
    for file_id in ids:
        client.files.delete(file_id)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=5-", 5, None),
        ("bytes=-7", -7, None),
        (f"bytes={PIECE - 3}-{PIECE + 2}", PIECE - 3, PIECE + 3),
        (f"bytes={PIECE}-{2 * PIECE - 1}", PIECE, 2 * PIECE),
        ("bytes=10-99999999", 10, None),
        ("bytes=10-" + "9" * 40, 10, None),
        ("Bytes=0-9", 0, 10),
    ],
)
def test_a_range_request_returns_exactly_its_bytes(client, http, asked, start, end):
    made = client.files.create(file=("rows.jsonl", LINES), purpose="batch")
    content = LINES[start:end]

    reply = http.get(f"/v1/files/{made.id}/content", headers={"Range": asked})

    assert (reply.status_code, reply.content) == (206, content)
    first = start % len(LINES)
    assert reply.headers["content-range"] == (
        f"bytes {first}-{first + len(content) - 1}/{len(LINES)}"
    )
    client.files.delete(made.id)


def test_a_range_with_a_stale_if_range_returns_the_whole_file(client, http):
    made = client.files.create(file=("a.jsonl", b"0123456789"), purpose="batch")
    path = f"/v1/files/{made.id}/content"
    tag = http.get(path).headers["etag"]

    for known, status in ((tag, 206), ('"another"', 200)):
        headers = {"Range": "bytes=2-", "If-Range": known}
        assert http.get(path, headers=headers).status_code == status


def test_an_expiry_with_a_plus_sign_is_honoured(http):
    made = http.post(
        "/v1/files",
        files={"file": ("a", b"{}")},
        data={"purpose": "batch", "expires_after[seconds]": "+7200"},
    ).json()

    assert made["expires_at"] - made["created_at"] == 7200


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_files_of_every_size_come_back_byte_for_byte(client, size):
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    made = client.files.create(file=("a.jsonl", content), purpose="batch")

    assert client.files.content(made.id).content == content
    client.files.delete(made.id)


def test_a_range_beyond_the_end_is_refused_and_a_malformed_one_ignored(client, http):
    made = client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    path = f"/v1/files/{made.id}/content"

    beyond = http.get(path, headers={"Range": "bytes=2-"})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == "bytes */2"
    for senseless in ("bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes=1-0"):
        assert http.get(path, headers={"Range": senseless}).status_code == 200


def test_a_pictures_media_type_is_detected_from_its_bytes(client, http):
    made = client.files.create(file=("cat.png", ROCKET, "image/png"), purpose="vision")

    reply = http.get(f"/v1/files/{made.id}/content")

    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.content == ROCKET


def test_a_vision_file_that_is_not_a_picture_is_refused_and_not_stored(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(file=("cat.png", b"meow" * 100), purpose="vision")

    assert refused.value.code == "not_an_image"
    assert not [f for f in client.files.list() if f.filename == "cat.png"]


def test_uploads_over_the_quota_are_refused_and_deleting_frees_space(client):
    made = client.files.create(file=("a.jsonl", b"x" * 3_000_000), purpose="batch")
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.files.create(file=("b.jsonl", b"x" * 3_000_000), purpose="batch")
    assert refused.value.code == "file_quota_exceeded"

    client.files.delete(made.id)

    again = client.files.create(file=("b.jsonl", b"x" * 3_000_000), purpose="batch")
    client.files.delete(again.id)


@pytest.mark.parametrize(
    ("parts", "code", "param"),
    [
        ({"files": {"file": ("a", b"x")}}, "invalid_parameter", "purpose"),
        (
            {"files": {"file": ("a", b"x")}, "data": {"purpose": "fine-tune"}},
            "invalid_parameter",
            "purpose",
        ),
        ({"files": {"fil": ("a", b"x")}, "data": {"purpose": "batch"}}, "malformed_body", None),
        (
            {"files": {"file": ("a", b"x")}, "data": {"purpose": "batch", "x": "y"}},
            "unknown_field",
            "x",
        ),
        (
            {
                "files": {"file": ("a", b"x")},
                "data": {"purpose": "batch", "expires_after[seconds]": "5"},
            },
            "invalid_parameter",
            "expires_after[seconds]",
        ),
        (
            {
                "files": {"file": ("a", b"x")},
                "data": {"purpose": "batch", "expires_after[seconds]": "-7200"},
            },
            "invalid_parameter",
            "expires_after[seconds]",
        ),
        ({"json": {}}, "unsupported_content_type", None),
    ],
)
def test_an_invalid_form_is_refused_by_its_field(http, parts, code, param):
    reply = http.post("/v1/files", **parts)

    error = reply.json()["error"]
    assert (error["code"], error["param"]) == (code, param), error
    assert not [f for f in http.get("/v1/files").json()["data"] if f["filename"] == "a"]


def test_a_form_that_repeats_a_field_without_end_is_refused(http):
    part = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    sent = 0

    def body():
        nonlocal sent
        while sent < 100_000:
            sent += 1000
            yield part * 1000
        yield b"--b--\r\n"

    reply = http.post(
        "/v1/files", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )

    assert reply.json()["error"]["code"] == "malformed_body"
    assert "50 fields" in reply.json()["error"]["message"]


def test_an_expiry_sent_after_the_file_is_refused(http):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'
        b'--b\r\nContent-Disposition: form-data; name="expires_after[seconds]"\r\n\r\n7200\r\n'
        b"--b--\r\n"
    )

    reply = http.post(
        "/v1/files", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )

    assert reply.json()["error"]["param"] == "expires_after[seconds]"


def test_a_file_over_the_body_limit_is_uploaded_in_little_memory(tmp_path):
    content = b"0123456789abcdef" * 2**20
    limits = {"max_body_bytes": 1_000_000, "max_bytes_in_flight": 25_000_000}
    rig = Rig(settings=settings_of(tmp_path, **limits))
    with serving(rig.app()) as url, httpx.Client(base_url=url, timeout=60) as http:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reply = http.post(
            "/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", content)}
        )
        assert reply.status_code == 200, reply.text
        with http.stream("GET", f"/v1/files/{reply.json()['id']}/content") as back:
            assert sum(len(piece) for piece in back.iter_raw()) == len(content)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert rig.room.peak <= 1_100_000
    # In kilobytes, with the client's own copy of the form.
    assert grown < 40_000


def test_a_file_over_the_limit_is_refused(tmp_path):
    with served(tmp_path, max_file_bytes=1000) as url, httpx.Client(base_url=url) as http:
        reply = http.post(
            "/v1/files", data={"purpose": "batch"}, files={"file": ("a", b"x" * 1001)}
        )

    assert reply.json()["error"]["code"] == "file_too_large"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_is_reported_and_leaves_nothing_behind(tmp_path):
    with served(tmp_path) as url, httpx.Client(base_url=url) as http:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            reply = http.post(
                "/v1/files", data={"purpose": "batch"}, files={"file": ("a", b"x" * 900_000)}
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert (reply.status_code, reply.json()["error"]["code"]) == (507, "storage_full")
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


def test_one_caller_never_sees_anothers_files(tmp_path):
    path = tmp_path / "keys.json"
    ann, bob = (add_key(path, Scope.FILES, Scope.GENERATE) for _ in range(2))
    none = add_key(path, Scope.GENERATE)
    rig = guarded(path, data_directory=tmp_path / "data")
    with serving(rig.app()) as url:
        clients = [
            OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) for key in (ann, bob, none)
        ]
        made = clients[0].files.create(file=("p.jpg", ROCKET), purpose="vision")

        assert list(clients[1].files.list()) == []
        for ask in (clients[1].files.retrieve, clients[1].files.delete, clients[1].files.content):
            with pytest.raises(openai.NotFoundError):
                ask(made.id)
        with pytest.raises(openai.PermissionDeniedError):
            clients[2].files.list()
        body = {"prompt": "Hi", "images": [{"file_id": made.id}]}
        replies = [
            httpx.post(f"{url}/v1/generate", json=body, headers={"Authorization": f"Bearer {key}"})
            for key in (ann, bob)
        ]
        for client in clients:
            client.close()

    assert replies[0].status_code == 200
    assert replies[1].json()["code"] == "image_source_not_found"


def test_a_file_id_is_accepted_wherever_a_picture_is(client, http):
    file_id = client.files.create(file=("p.jpg", ROCKET), purpose="vision").id
    by_bytes = http.post("/v1/generate", json={"images": [b64(ROCKET)]}).json()["images"]
    named: list[dict[str, Any]] = [{"file_id": file_id}]

    generated = http.post("/v1/generate", json={"images": named})
    assert generated.json()["images"][0]["received"]["bytes"] == len(ROCKET)
    assert generated.json()["images"][0]["prepared"] == by_bytes[0]["prepared"]
    for path, body in (
        ("/v1/images/prepare", {"image": named[0]}),
        ("/v1/estimate", {"images": named}),
        ("/v1/tasks/caption", {"images": named}),
    ):
        reply = http.post(path, json=body)
        assert reply.status_code == 200, reply.text
    for path in ("/v1/generate/upload", "/v1/tasks/caption/upload"):
        reply = http.post(path, files={"file_ids": (None, file_id)})
        assert reply.status_code == 200, reply.text
    client.files.delete(file_id)
    assert http.post("/v1/generate", json={"images": named}).json()["errors"][0]["field"] == (
        "images.0"
    )


@pytest.mark.parametrize(
    "part",
    [
        lambda i: {"type": "image_url", "image_url": {"file_id": i}},
        lambda i: {"type": "file", "file": {"file_id": i}},
    ],
)
def test_a_file_id_is_accepted_as_a_picture_in_the_openai_dialect(tmp_path, part):
    model = FakeVisionModel()
    rig = Rig(model, settings=settings_of(tmp_path))
    with serving(rig.app()) as url, OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        file_id = client.files.create(file=("p.jpg", ROCKET), purpose="vision").id
        content: Any = [{"type": "text", "text": "What is it?"}, part(file_id)]
        client.chat.completions.create(
            model=rig.settings.model_id, messages=[{"role": "user", "content": content}]
        )
        answer: Any = [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "file_id": file_id},
                ],
            }
        ]
        client.responses.create(model=rig.settings.model_id, input=answer)

    assert [len(request.turns[-1].images) for request in model.requests] == [1, 1]


def test_an_upload_sent_directly_to_s3_becomes_a_file(tmp_path, bucket):
    with served(tmp_path, **bucket) as url, httpx.Client(base_url=url, timeout=30) as http:
        begun = http.post(
            "/v1/uploads",
            json={"filename": "p.jpg", "purpose": "vision", "bytes": len(ROCKET)},
        ).json()
        early = http.post(f"/v1/uploads/{begun['id']}/complete")
        put = httpx.post(begun["form"]["url"], data=begun["form"]["fields"], files={"file": ROCKET})
        done = http.post(f"/v1/uploads/{begun['id']}/complete").json()
        again = http.post(f"/v1/uploads/{begun['id']}/complete")
        content = http.get(f"/v1/files/{done['file']['id']}/content").content

    assert early.json()["error"]["code"] == "upload_incomplete"
    assert put.status_code in (200, 204), put.text
    assert (done["status"], done["file"]["media_type"]) == ("completed", "image/jpeg")
    assert content == ROCKET
    assert again.json() == done


def test_an_upload_becomes_one_file_however_often_it_is_completed(tmp_path, bucket):
    own = {**bucket, "files_bucket": f"kept/{tmp_path.name}"}
    with served(tmp_path, **own) as url, httpx.Client(base_url=url, timeout=30) as http:
        begun = http.post(
            "/v1/uploads",
            json={"filename": "p.jpg", "purpose": "vision", "bytes": len(ROCKET)},
        ).json()
        form = begun["form"]
        httpx.post(form["url"], data=form["fields"], files={"file": ROCKET})

        def complete(_: int) -> httpx.Response:
            return httpx.post(f"{url}/v1/uploads/{begun['id']}/complete", timeout=30)

        with ThreadPoolExecutor(4) as threads:
            replies = list(threads.map(complete, range(4)))
        httpx.post(form["url"], data=form["fields"], files={"file": ROCKET[::-1]})
        replies.append(complete(5))
        (listed,) = http.get("/v1/files").json()["data"]
        content = http.get(f"/v1/files/{listed['id']}/content").content

        assert [reply.status_code for reply in replies] == [200] * 5, replies[-1].text
        assert {reply.json()["file"]["id"] for reply in replies} == {listed["id"]}
        assert content == ROCKET
        http.delete(f"/v1/files/{listed['id']}")
        assert complete(6).status_code == 404
        kept = s3_client(bucket["files_endpoint_url"]).list_objects_v2(
            Bucket="kept", Prefix=f"{tmp_path.name}/"
        )
        assert kept["KeyCount"] == 0


def test_uploads_take_their_bytes_from_the_quota_before_they_arrive(tmp_path, bucket):
    own = {**bucket, "files_bucket": f"kept/{tmp_path.name}", "files_quota_bytes": 1000}
    asked = {"filename": "p.jpg", "purpose": "vision", "bytes": 600}
    with served(tmp_path, **own) as url, httpx.Client(base_url=url, timeout=30) as http:
        begun = http.post("/v1/uploads", json=asked).json()
        second = http.post("/v1/uploads", json=asked)
        smaller = http.post("/v1/uploads", json={**asked, "bytes": 400})
        http.post(f"/v1/uploads/{begun['id']}/cancel")
        after = http.post("/v1/uploads", json=asked)

    assert second.json()["error"]["code"] == "file_quota_exceeded"
    assert (smaller.status_code, after.status_code) == (200, 200)


def test_a_cancelled_upload_is_gone(tmp_path, bucket):
    with served(tmp_path, **bucket) as url, httpx.Client(base_url=url, timeout=30) as http:
        begun = http.post(
            "/v1/uploads", json={"filename": "p.jpg", "purpose": "vision", "bytes": 10}
        ).json()

        assert http.post(f"/v1/uploads/{begun['id']}/cancel").json()["status"] == "cancelled"
        assert http.post(f"/v1/uploads/{begun['id']}/complete").status_code == 404


def test_an_upload_expires_as_files_do(tmp_path, bucket):
    asked = {"filename": "p.jpg", "purpose": "vision", "bytes": 10}
    with served(tmp_path, **bucket) as url, httpx.Client(base_url=url, timeout=30) as http:
        statuses = {
            seconds: http.post(
                "/v1/uploads", json={**asked, "expires_after": {"seconds": seconds}}
            ).status_code
            for seconds in (3599, 3600, 2_592_000, 2_592_001)
        }

    assert statuses == {3599: 400, 3600: 200, 2_592_000: 200, 2_592_001: 400}


def test_direct_uploads_require_the_s3_store(tmp_path):
    with served(tmp_path) as url:
        reply = httpx.post(
            f"{url}/v1/uploads", json={"filename": "p.jpg", "purpose": "vision", "bytes": 10}
        )

    assert reply.json()["error"]["code"] == "uploads_disabled"
