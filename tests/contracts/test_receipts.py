"""Receipts: issued in every dialect, verified by other libraries, and tamper-evident."""

import asyncio
import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from app.__main__ import main
from app.adapters.aws_session import aws_session
from app.adapters.receipts import signing_keys
from app.adapters.receipts.signing_keys import load, open_signing_keys
from app.api.routing.preferences import parsed
from app.services.concurrency.threads import Threads
from app.services.receipts.canonical import canonical
from app.services.receipts.instant import instant
from app.services.receipts.issuer import TYPE, BodyDigests, NoKeys, Receipts, signed
from app.services.receipts.verification import Evidence, extracted, opened, verify
from app.settings import Settings, SettingsError
from app.settings import load as load_settings
from app.telemetry import RequestRecord
from app.telemetry.trail import Trail
from app.wiring.receipts import open_receipts
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

PICTURE = Path("tests/data/chelsea.png")
PREFER = {"Prefer": "receipt"}


@pytest.fixture(scope="module")
def key_file(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("keys") / "signing-keys"
    signing_keys.append(path, b"\x07" * 32)
    return path


@pytest.fixture
def http(key_file, emulator_url) -> Iterator[httpx.Client]:
    with proving(key_file, emulator_url) as client:
        yield client


@contextmanager
def proving(key_file: Path, emulator_url: str, **more: Any) -> Iterator[httpx.Client]:
    settings = Settings(
        _env_file=None,
        endpoint_url=emulator_url,
        receipt_key_file=key_file,
        usage_store="memory",
        lifecycle=False,
        **more,
    )
    with (
        serving(Rig(model=None, settings=settings).app()) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def independent(receipt: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Verify a receipt without the service's code, with cryptography and rfc8785 alone."""
    head, payload, signature = receipt.split(".")
    header = json.loads(unpadded(head))
    assert header == {"alg": "EdDSA", "kid": header["kid"], "typ": TYPE}
    (key,) = (key for key in keys["keys"] if key["kid"] == header["kid"])
    public = Ed25519PublicKey.from_public_bytes(unpadded(key["x"]))
    public.verify(unpadded(signature), f"{head}.{payload}".encode())
    members: dict[str, Any] = json.loads(unpadded(payload))
    assert rfc8785.dumps(members) == unpadded(payload)
    return members


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def published(http: httpx.Client) -> dict[str, Any]:
    keys: dict[str, Any] = http.get("/.well-known/jwks.json").json()
    return keys


def test_a_receipt_attests_the_question_the_calls_and_the_answer_without_their_content(http):
    body = orjson.dumps(
        {"prompt": "What is the secret word?", "images": [{"base64": b64(PICTURE.read_bytes())}]}
    )
    answer = http.post(
        "/v1/generate", content=body, headers={"content-type": "application/json", **PREFER}
    )

    assert answer.status_code == 200, answer.text
    assert answer.headers["preference-applied"] == "receipt"
    said = independent(answer.headers["receipt"], published(http))
    (call,), (image,) = said["calls"], said["images"]
    shown = answer.json()
    assert said["request"] == {"sha256": digest(body), "bytes": len(body)}
    assert said["answer"]["sha256"] == digest(answer.content)
    assert image["received_sha256"] == digest(PICTURE.read_bytes())
    assert image["prepared_sha256"] == shown["images"][0]["prepared"]["sha256"]
    assert image["treatment"] == shown["images"][0]["treatment"]
    assert call["pictures_sha256"] == [image["prepared_sha256"]]
    assert call["answer_sha256"] == digest(shown["generation"].encode())
    assert call["prompt_tokens"] == shown["prompt_token_count"]
    assert (call["model"], call["region"]) == (shown["model"], shown["target"]["region"])
    assert float(call["cost_usd"]) == pytest.approx(shown["cost_usd"]["total"])
    assert said["request_id"] == answer.headers["x-request-id"]
    assert said["caller"] == {"id": "anonymous"}
    text = json.dumps(said)
    assert "secret word" not in text
    assert shown["generation"] not in text


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Why?"}]}),
        ("/v1/responses", {"input": "Why?"}),
        (
            "/model/us.meta.llama3-2-11b-instruct-v1%3A0/converse",
            {"messages": [{"role": "user", "content": [{"text": "Why?"}]}]},
        ),
    ],
)
def test_every_dialects_answer_can_carry_a_receipt(http, path, body):
    body = {"model": "us.meta.llama3-2-11b-instruct-v1:0", **body} if "/v1/" in path else body
    answer = http.post(path, json=body, headers=PREFER)

    said = independent(answer.headers["receipt"], published(http))
    assert said["answer"]["sha256"] == digest(answer.content)
    assert len(said["calls"]) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/generate", {"prompt": "Why?", "stream": True}),
        (
            "/v1/chat/completions",
            {
                "model": "us.meta.llama3-2-11b-instruct-v1:0",
                "messages": [{"role": "user", "content": "Why?"}],
                "stream": True,
            },
        ),
    ],
)
def test_a_stream_has_its_receipt_in_a_comment_after_its_last_event(http, path, body):
    answer = http.post(path, json=body, headers=PREFER)

    events, _, comment = answer.text.rpartition(": receipt ")
    said = independent(comment.strip(), published(http))
    assert said["answer"]["sha256"] == digest(events.encode())
    assert said["calls"][0]["complete"] is True
    assert extracted(answer.text) == comment.strip()


def test_a_stream_ended_early_by_a_stop_sequence_has_a_receipt_too(http):
    body = {
        "model": "us.meta.llama3-2-11b-instruct-v1:0",
        "messages": [{"role": "user", "content": "Why?"}],
        "stream": True,
        "stop": ["e"],
    }
    answer = http.post("/v1/chat/completions", json=body, headers=PREFER)

    said = independent(extracted(answer.text), published(http))
    assert len(said["calls"]) == 1


def test_a_tasks_receipt_names_the_task_and_all_its_calls(http):
    picture = {"base64": b64(PICTURE.read_bytes())}
    answer = http.post("/v1/tasks/caption", json={"images": [picture]}, headers=PREFER)

    assert answer.status_code == 200, answer.text
    said = independent(answer.headers["receipt"], published(http))
    assert said["task"] == {"name": "caption"}
    assert said["calls"][0]["task"].startswith("caption-")
    assert len(said["calls"]) >= 1


def test_a_receipt_contains_the_guardrails_verdict(key_file, emulator_url):
    settings = Settings(
        _env_file=None,
        endpoint_url=emulator_url,
        receipt_key_file=key_file,
        receipts="always",
        guardrail_kind="apply",
        guardrail_id="strict",
    )
    with (
        serving(Rig(model=None, settings=settings).app()) as url,
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        answer = http.post("/v1/generate", json={"prompt": "Write to ann@example.com"})
        said = independent(answer.headers["receipt"], published(http))

    (verdict,) = said["guardrails"]
    assert (verdict["guardrail"], verdict["action"]) == ("strict", "masked")
    assert verdict["policies"]
    assert "ann@example.com" not in json.dumps(said)


def test_only_requested_and_paid_answers_have_a_receipt(http):
    assert "receipt" not in http.post("/v1/generate", json={"prompt": "Why?"}).headers
    assert "receipt" not in http.post("/v1/generate", json={}, headers=PREFER).headers
    assert "receipt" not in http.get("/v1/models", headers=PREFER).headers


def test_requests_sharing_an_answer_each_have_a_receipt_and_one_says_shared(http):
    headers = {**PREFER, "Idempotency-Key": "receipts-1"}
    first, second = [
        independent(
            http.post("/v1/generate", json={"prompt": "Why?"}, headers=headers).headers["receipt"],
            published(http),
        )
        for _ in range(2)
    ]

    assert first["calls"] == second["calls"]
    assert (first["shared"], second["shared"]) == (False, True)


def test_an_answer_made_for_the_cache_has_a_receipt_and_a_cached_one_has_none(
    key_file, emulator_url
):
    with proving(key_file, emulator_url, cache="on") as http:
        keys = published(http)
        asked = {"prompt": "Why?", "temperature": 0}
        made, kept = (http.post("/v1/generate", json=asked, headers=PREFER) for _ in range(2))

    assert (made.json()["cached"], kept.json()["cached"]) == (False, True)
    (call,) = independent(made.headers["receipt"], keys)["calls"]
    assert call["answer_sha256"] == digest(made.json()["generation"].encode())
    assert "receipt" not in kept.headers


@pytest.fixture
def sealed(key_file) -> tuple[str, dict[str, Any]]:
    keys = sync_load(key_file)
    record = RequestRecord("req_1", "POST", trail=Trail(calls=[{"model": "m"}]), caller="ann")
    receipt = Receipts(keys, enabled=True, caller="hash").issue(
        record, BodyDigests("a", 1, "b", 2, "application/json")
    )
    assert receipt is not None
    return receipt, keys.jwks()


def sync_load(path: Path):
    async def never(_: bytes) -> bytes:
        raise AssertionError

    threads = Threads("test")
    with ThreadPoolExecutor(1) as pool:
        loaded = pool.submit(asyncio.run, load(path, never, threads)).result()
    threads.close()
    return loaded


def test_any_changed_character_of_a_receipt_is_detected(sealed):
    receipt, keys = sealed
    opened(receipt, keys)

    for at, character in enumerate(receipt):
        other = "A" if character != "A" else "B"
        changed = receipt[:at] + other + receipt[at + 1 :]
        if unpadded_parts(changed) == unpadded_parts(receipt):
            # The last character of base64 has unused bits.
            continue
        with pytest.raises(ValueError, match=r"."):
            opened(changed, keys)


def unpadded_parts(receipt: str) -> list[bytes] | None:
    try:
        return [unpadded(part) if part else b"" for part in receipt.split(".")]
    except ValueError:
        return None


def test_a_setting_replaces_the_caller_with_a_hash(sealed):
    receipt, keys = sealed

    assert opened(receipt, keys)["caller"] == {"sha256": digest(b"ann")}


def test_a_payload_that_is_signed_but_not_canonical_is_refused(key_file):
    keys = sync_load(key_file)

    with pytest.raises(ValueError, match="canonical"):
        opened(signed(keys, b'{"b": 1, "a": 2}', TYPE), keys.jwks())


def test_without_a_key_there_are_no_receipts_and_the_key_set_is_empty():
    assert not Receipts(NoKeys()).wanted(["receipt"])
    assert NoKeys().jwks() == {"keys": []}


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("receipt", True),
        ("respond-async, Receipt", True),
        ("receipt=1; wait=2", True),
        ("receipts", False),
        ("wait=receipt", False),
        ('wait="a, receipt, b"', False),
        ("", False),
    ],
)
def test_the_prefer_header_is_parsed_as_rfc_7240_defines(header, wanted):
    preferences = parsed(header)
    assert Receipts(NoKeys(), enabled=True).wanted(preferences) is wanted
    assert Receipts(NoKeys(), enabled=True, always=True).wanted(preferences)


names = st.text(st.characters(max_codepoint=127), max_size=8)
texts = st.text(st.characters(codec="utf-8"))
members = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
)


@given(st.dictionaries(names, members, max_size=5))
def test_canonical_json_equals_the_output_of_the_rfcs_own_library(value):
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [{"a": 0.5}, {"ä": 1}, {"a": 2**53}, {"a": b""}])
def test_values_without_a_canonical_form_are_refused(value):
    with pytest.raises(TypeError):
        canonical(value)


async def test_keys_rotate_while_the_service_runs_and_old_receipts_stay_verifiable(tmp_path):
    path = tmp_path / "keys"
    first = signing_keys.append(path, b"\x01" * 32)

    async def never(_: bytes) -> bytes:
        raise AssertionError

    async with open_signing_keys(path, never) as keys:
        before = signed(keys, b"{}", TYPE)
        second = signing_keys.append(path, b"\x02" * 32)
        await keys.reload()
        after = signed(keys, b"{}", TYPE)
        assert keys.key_id == second
        retired = base64.b64encode(keys.keys.public[first]).decode()
        kept = path.read_text().splitlines()[1]
        path.write_text(f"{first} public:{retired}\n{kept}\n")
        await keys.reload()
        assert [opened(receipt, keys.jwks()) for receipt in (before, after)] == [{}, {}]

        path.write_text("rubbish")
        await keys.reload()
        assert keys.key_id == second


async def test_a_kms_encrypted_key_signs_after_kms_decrypted_it(tmp_path):
    path = tmp_path / "keys"
    signing_keys.append(path, b"\x03" * 32, b"ciphertext of any length")

    async def decrypt(data: bytes) -> bytes:
        assert data == b"ciphertext of any length"
        return b"\x03" * 32

    async with open_signing_keys(path, decrypt) as keys:
        assert opened(signed(keys, b"{}", TYPE), keys.jwks()) == {}
    assert b"\x03" * 32 not in path.read_bytes()


@pytest.mark.parametrize("text", ["", "a", "a c2hvcnQ=", "a public:" + "A" * 43 + "=", "a !"])
def test_a_file_without_a_signing_key_is_refused(tmp_path, text):
    (tmp_path / "keys").write_text(text)

    with pytest.raises(ValueError, match=str(tmp_path)):
        signing_keys.lines(tmp_path / "keys")


def test_receipts_for_all_answers_require_a_key(monkeypatch):
    monkeypatch.setenv("LLAMA_VISION_RECEIPTS", "always")

    with pytest.raises(SettingsError, match="RECEIPT_KEY_FILE: is missing"):
        load_settings()


def test_the_command_says_in_words_which_checks_hold_and_which_fail(http, tmp_path, capsys):
    body = orjson.dumps({"prompt": "Why?", "images": [{"base64": b64(PICTURE.read_bytes())}]})
    answer = http.post(
        "/v1/generate", content=body, headers={"content-type": "application/json", **PREFER}
    )
    for name, data in {
        "receipt": answer.headers["receipt"].encode(),
        "keys.json": orjson.dumps(published(http)),
        "answer.json": answer.content,
        "answer.txt": answer.json()["generation"].encode() + b"\n",
        "request": body,
        "forged": answer.content.replace(b"image", b"imagf"),
    }.items():
        (tmp_path / name).write_bytes(data)

    def said(*more: str) -> tuple[int, str]:
        common = ["verify", str(tmp_path / "receipt"), "--keys", str(tmp_path / "keys.json")]
        status = main([*common, *(str(tmp_path / m) if not m.startswith("-") else m for m in more)])
        return status, capsys.readouterr().out

    status, out = said("--answer", "answer.json", "--request", "request")
    assert status == 0
    assert "byte for byte" in out
    assert "the request is the one" in out
    assert "not proved that the model gave this answer" in out
    assert said("--answer", "answer.txt")[0] == 0
    status, out = said("--answer", "forged")
    assert status == 1
    assert "FAILS      the answer is not the one" in out
    common = [
        "verify",
        str(tmp_path / "receipt"),
        "--keys",
        f"{http.base_url}/.well-known/jwks.json",
    ]
    assert main([*common, "--image", str(PICTURE)]) == 0
    assert "picture 0 was in the request" in capsys.readouterr().out


def test_a_saved_stream_and_saved_headers_are_accepted_as_they_are(http, tmp_path, capsys):
    body = {"prompt": "Why?", "stream": True}
    stream = http.post("/v1/generate", json=body, headers=PREFER).content
    whole = http.post("/v1/generate", json={"prompt": "Why?"}, headers=PREFER)
    head = "HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in whole.headers.items())
    for name, data in {
        "stream": stream,
        "forged": stream.replace(b"event: done", b"event: dome"),
        "head": head.encode(),
        "answer": whole.content,
        "keys": orjson.dumps(published(http)),
    }.items():
        (tmp_path / name).write_bytes(data)

    def status(receipt: str, answer: str) -> int:
        files = [str(tmp_path / name) for name in (receipt, "keys", answer)]
        return main(["verify", files[0], "--keys", files[1], "--answer", files[2]])

    assert status("stream", "stream") == 0
    assert "the stream is byte for byte" in capsys.readouterr().out
    assert status("stream", "forged") == 1
    assert status("head", "answer") == 0


def test_an_erasure_and_an_audit_head_are_recognised_and_prove_no_answer(
    key_file, emulator_url, tmp_path, capsys
):
    settings = Settings(
        _env_file=None,
        endpoint_url=emulator_url,
        receipt_key_file=key_file,
        audit_store="files",
        data_directory=tmp_path / "data",
    )
    rig = Rig(model=None, settings=settings)
    with serving(rig.app()) as url, httpx.Client(base_url=url, timeout=60) as http:
        erased = http.delete("/v1/callers/ann/data").content
        head = http.get("/v1/audit/head").json()["signature"].encode()
        (tmp_path / "keys").write_bytes(orjson.dumps(published(http)))

    said = []
    for name, data in (("erased", erased), ("head", head)):
        (tmp_path / name).write_bytes(data)
        command = ["verify", str(tmp_path / name), "--keys", str(tmp_path / "keys")]
        assert main(command) == 0
        said.append(capsys.readouterr().out)
        assert main([*command, "--answer", str(tmp_path / name)]) == 1
        assert "FAILS      it is not about an answer" in capsys.readouterr().out

    assert "was erased at" in said[0]
    assert "these were deleted: files 0" in said[0]
    assert "it is the head of an audit log: " in said[1]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda receipt, keys: (receipt, {"keys": []}), "the key set has no key of that name"),
        (lambda receipt, keys: (receipt[:-9], keys), "it was changed after it was signed"),
        (lambda receipt, keys: ("", keys), "it is not a compact JWS"),
        (lambda receipt, keys: (receipt.replace(".", ""), keys), "it is not a compact JWS"),
        (lambda receipt, keys: (receipt, {"keys": ["?"]}), "the signature is not valid"),
        (lambda receipt, keys: (receipt, {"keys": 1}), "the signature is not valid"),
    ],
)
def test_the_command_says_why_a_receipt_does_not_hold(sealed, spoil, why):
    receipt, keys = spoil(*sealed)
    (statement,) = verify(receipt, keys, Evidence())

    assert statement.holds is False
    assert why in statement.text


def test_a_receipt_with_an_altered_payload_does_not_hold(sealed):
    receipt, keys = sealed
    members = opened(receipt, keys)
    assert members["images"] == []
    first, *_ = verify(receipt.replace(".", ".A", 1), keys, Evidence())

    assert not first.holds


def test_a_receipt_signed_by_an_unknown_key_does_not_hold(sealed, tmp_path):
    receipt, _ = sealed
    signing_keys.append(tmp_path / "keys", b"\x09" * 32)
    strangers = sync_load(tmp_path / "keys").jwks()
    strangers["keys"][0]["kid"] = json.loads(unpadded(receipt.split(".")[0]))["kid"]

    with pytest.raises(ValueError, match="signature"):
        opened(receipt, strangers)
    with pytest.raises(InvalidSignature):
        independent(receipt, strangers)


async def test_the_command_creates_a_key_that_only_kms_can_decrypt(tmp_path, s3_url, monkeypatch):
    # moto serves all AWS services on one port.
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", s3_url)
    path = tmp_path / "keys"
    async with aws_session().client("kms", region_name="us-west-2") as kms:
        key_id = (await kms.create_key())["KeyMetadata"]["KeyId"]
    made = ["receipts", "new-key", str(path), "--kms-key", key_id, "--region", "us-west-2"]
    assert await asyncio.to_thread(main, made) == 0
    assert " kms:" in path.read_text()

    settings = Settings(_env_file=None, receipt_key_file=path)
    async with open_receipts(aws_session(), settings) as receipts:
        receipt = signed(receipts.signer, b"{}", TYPE)
        assert opened(receipt, receipts.signer.jwks()) == {}


@pytest.mark.parametrize("time", [0, 0.0015, 951_782_399.999, 1_795_852_800.25])
def test_times_have_rfc_3339_format_to_the_millisecond(time):
    whole = datetime.fromtimestamp(time, UTC)

    assert datetime.fromisoformat(instant(time)) == whole.replace(
        microsecond=whole.microsecond // 1000 * 1000
    )
    assert instant(time) == f"{instant(time)[:19]}.{whole.microsecond // 1000:03d}Z"
