"""The audit log: its RFC 9162 tree, its stores, recovery from crashes, and tampering."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.__main__ import main
from app.adapters.audit.files import AuditFiles
from app.adapters.audit.postgres import open_audit
from app.adapters.audit.s3_heads import S3Heads
from app.adapters.aws_session import aws_session
from app.adapters.encryption import root_file
from app.adapters.encryption.aes import EncryptedData
from app.adapters.encryption.caller_key_files import CallerKeyFiles
from app.adapters.encryption.plain import PlainData
from app.adapters.encryption.root_file import FileRootKeys
from app.adapters.receipts import signing_keys
from app.domain.errors import AuditUnavailableError, DataKeyError
from app.domain.merkle import (
    EMPTY,
    appended,
    consistency_ranges,
    cover,
    fold,
    inclusion_ranges,
    leaf_hash,
)
from app.services.audit.changes import KeyChanges
from app.services.audit.log import MOST, AuditLog, AuditStore
from app.settings import Settings
from app.telemetry import RequestRecord
from app.telemetry.metrics import Metrics
from tests.support.clients.merkle_proofs import verify_consistency, verify_inclusion
from tests.support.servers.s3 import s3_client
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

DAY = date(2026, 11, 27)
in_postgres = pytest.mark.xdist_group("postgres")


def reference(leaves: list[bytes]) -> bytes:
    """Return the root exactly as RFC 9162 defines it."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + reference(leaves[:k]) + reference(leaves[k:])).digest()


def tree(leaves: list[bytes]) -> dict[tuple[int, int], bytes]:
    return appended(0, {}, [leaf_hash(leaf) for leaf in leaves])


def range_hash(nodes: dict[tuple[int, int], bytes], leaves: tuple[int, int]) -> bytes:
    return fold([nodes[node] for node in cover(leaves)])


LEAVES = [b"%d" % i for i in range(40)]
sizes = st.integers(1, len(LEAVES))


@given(st.integers(0, len(LEAVES)))
def test_a_merkle_root_is_the_one_that_the_rfc_defines(size):
    assert range_hash(tree(LEAVES), (0, size)) == reference(LEAVES[:size])


@given(sizes, st.data())
def test_every_leaf_has_a_proof_valid_only_for_its_leaf_place_and_root(size, data):
    nodes, index = tree(LEAVES), data.draw(st.integers(0, size - 1))
    proof = [range_hash(nodes, part) for part in inclusion_ranges(index, size)]
    root, leaf = reference(LEAVES[:size]), leaf_hash(LEAVES[index])

    assert verify_inclusion(leaf, index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(leaf, index, size, proof, leaf_hash(b"other"))
    assert not verify_inclusion(leaf, index, size, [*proof, EMPTY], root)
    if proof:
        assert not verify_inclusion(leaf, index, size, proof[1:], root)
        other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
        assert not verify_inclusion(leaf, other, size, proof, root)


@given(sizes, sizes)
def test_a_grown_tree_has_a_consistency_proof_and_a_changed_one_has_none(first, second):
    old, size = sorted((first, second))
    nodes = tree(LEAVES)
    proof = [range_hash(nodes, part) for part in consistency_ranges(old, size)]
    old_root, root = reference(LEAVES[:old]), reference(LEAVES[:size])

    assert verify_consistency(old, size, proof, old_root, root)
    removed = reference(LEAVES[1 : size + 1] if old == size else [*LEAVES[1:size], b"more"])
    assert not verify_consistency(old, size, proof, old_root, removed)
    assert not verify_consistency(old, size, proof, reference([*LEAVES[1:old], b"x"]), root)


@dataclass
class Calendar:
    day: date = DAY

    def __call__(self) -> date:
        return self.day


@pytest.fixture(params=["files", pytest.param("postgres", marks=in_postgres)])
async def store(request, tmp_path) -> AsyncIterator[AuditStore]:
    if request.param == "files":
        yield AuditFiles(tmp_path / "audit")
        return
    async with open_audit(request.getfixturevalue("postgres").url) as kept:
        yield kept


async def root_of(store: AuditStore) -> bytes:
    return fold(await store.nodes(cover((0, await store.size()))))


async def test_a_store_keeps_records_in_order_and_their_tree(store):
    for begin, end in ((0, 1), (1, 4), (4, 4), (4, 20), (20, 40)):
        if LEAVES[begin:end]:
            assert await store.append(LEAVES[begin:end]) == end

    assert [await store.record(i) for i in range(40)] == LEAVES
    assert await store.record(40) is None
    assert await root_of(store) == reference(LEAVES)


async def test_two_replicas_write_one_log(store, request, tmp_path):
    if isinstance(store, AuditFiles):
        other: AuditStore = AuditFiles(tmp_path / "audit")
        await asyncio.gather(*(s.append([b"%d" % i]) for i, s in enumerate([store, other] * 10)))
    else:
        async with open_audit(request.getfixturevalue("postgres").url) as other:
            for i in range(5):
                await asyncio.gather(store.append([b"a%d" % i]), other.append([b"b%d" % i]))

    size = await store.size()
    records = [await store.record(i) for i in range(size)]
    assert size in (10, 20)
    assert len(set(records)) == size
    assert await root_of(store) == reference([record for record in records if record])


async def test_old_records_are_deleted_and_their_proofs_stay(tmp_path):
    calendar = Calendar()
    files = AuditFiles(tmp_path / "audit", calendar)
    await files.append(LEAVES[:5])
    calendar.day += timedelta(days=1)
    await files.append(LEAVES[5:10])
    before = await root_of(files)

    assert await files.forget(calendar.day) == 1

    assert [await files.record(i) for i in (4, 5)] == [None, LEAVES[5]]
    assert await root_of(files) == before
    await files.append(LEAVES[10:12])
    assert await root_of(files) == reference(LEAVES[:12])


@in_postgres
async def test_postgres_keeps_the_tree_when_old_records_are_deleted(postgres):
    async with open_audit(postgres.url) as kept:
        await kept.append(LEAVES[:3])
        assert await kept.forget(date(2999, 1, 1)) == 3
        assert await kept.record(0) is None
        await kept.append(LEAVES[3:5])
        assert await root_of(kept) == reference(LEAVES[:5])


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


async def test_after_a_crash_in_mid_write_the_log_is_repaired_and_no_acknowledged_record_is_lost(
    tmp_path,
):
    whole = tmp_path / "whole"
    await AuditFiles(whole, Calendar()).append(LEAVES[:5])
    before = files_of(whole)
    await AuditFiles(whole, Calendar()).append(LEAVES[5:9])
    after = files_of(whole)
    order = [next(n for n in after if n.endswith("jsonl"))]
    order += [*sorted(n for n in after if n.startswith("level")), "ends"]

    for written, name in enumerate(order):
        grown = after[name][len(before.get(name, b"")) :]
        for cut in {0, 1, len(grown) // 2, len(grown)}:
            folder = tmp_path / f"crash-{written}-{cut}"
            shutil.copytree(whole, folder)
            for other in order[written + 1 :]:
                (folder / other).write_bytes(before.get(other, b""))
                if other not in before:
                    (folder / other).unlink()
            (folder / name).write_bytes(before.get(name, b"") + grown[:cut])
            mended = AuditFiles(folder, Calendar())
            size = await mended.append([b"after"])
            records = [await mended.record(i) for i in range(size)]
            assert records[:5] == LEAVES[:5]
            assert records[-1] == b"after"
            assert records[5:-1] == LEAVES[5 : size - 1]
            assert await root_of(mended) == reference([r for r in records if r])
            # Once the lines are completely on disk, all records are there.
            if written:
                assert size == 10


async def test_any_changed_byte_or_removed_record_is_detected(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "audit"
    store = AuditFiles(folder)
    log = AuditLog(store, PlainData(), Metrics(), signer=await keys(tmp_path))
    for i in range(6):
        log.note("test", {"number": i})
    await log.flush()
    head = tmp_path / "head"
    signature = (await log.head()).signature
    assert signature is not None
    await asyncio.to_thread(head.write_text, signature)
    public = tmp_path / "jwks.json"
    await asyncio.to_thread(public.write_bytes, orjson.dumps((await keys(tmp_path)).jwks()))
    monkeypatch.setenv("LLAMA_VISION_AUDIT_STORE", "files")
    monkeypatch.setenv("LLAMA_VISION_DATA_DIRECTORY", str(tmp_path))
    command = ["audit", "verify", "--head", str(head), "--keys", str(public)]

    def status() -> int:
        return main(command)

    assert await asyncio.to_thread(status) == 0
    whole = files_of(folder)
    for name, data in whole.items():
        if name == "ends":
            continue
        for at in range(0, len(data), 7):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            (folder / name).write_bytes(changed)
            assert await asyncio.to_thread(status) != 0, (name, at)
        (folder / name).write_bytes(data)
    assert await asyncio.to_thread(status) == 0

    for removed in range(6):
        shutil.rmtree(folder)
        rewritten = AuditFiles(folder)
        lines = next(d for n, d in whole.items() if n.endswith("jsonl")).splitlines()
        await rewritten.append(lines[:removed] + lines[removed + 1 :])
        assert await asyncio.to_thread(status) == 1
    assert "FAILS a head has 6 records, more than the log" in capsys.readouterr().out


def test_a_missing_day_of_records_is_reported_unless_retention_deleted_it(
    tmp_path, monkeypatch, capsys
):
    folder, calendar = tmp_path / "audit", Calendar()
    store = AuditFiles(folder, calendar)
    for _ in range(3):
        asyncio.run(store.append([b"a record"] * 4))
        calendar.day += timedelta(days=1)
    first, second, third = sorted(folder.glob("*.jsonl"))
    monkeypatch.setenv("LLAMA_VISION_AUDIT_STORE", "files")
    monkeypatch.setenv("LLAMA_VISION_DATA_DIRECTORY", str(tmp_path))

    def verified(days: str | None = None) -> tuple[int, str]:
        with monkeypatch.context() as patch:
            if days:
                patch.setenv("LLAMA_VISION_AUDIT_RETENTION_DAYS", days)
            return main(["audit", "verify"]), capsys.readouterr().out

    def without(path: Path, *days: str | None) -> list[tuple[int, str]]:
        data = path.read_bytes()
        path.unlink()
        said = [verified(each) for each in days]
        path.write_bytes(data)
        return said

    gone, old = without(first, None, "30")
    assert (gone[0], "FAILS records 0 to 3 were removed" in gone[1]) == (1, True)
    assert (old[0], "8 of them kept" in old[1]) == (0, True)
    assert "retention deletes records older than 30 days" in old[1]
    for path in (second, third):
        assert [status for status, _ in without(path, None, "30")] == [1, 1]
    third.write_bytes(third.read_bytes()[:-4])
    status, said = verified()
    assert (status, "FAILS record 11 was moved or cut off" in said) == (1, True)


async def keys(folder: Path):
    path = folder / "signing-keys"
    if not path.exists():
        signing_keys.append(path, b"\x05" * 32)

    async def never(_: bytes) -> bytes:
        raise AssertionError

    from app.services.concurrency.threads import Threads

    threads = Threads("test")
    try:
        return await signing_keys.load(path, never, threads)
    finally:
        threads.close()


@dataclass
class Unwilling:
    """A store that fails until ``failing`` is cleared."""

    failing: bool = True
    kept: list[bytes] = field(default_factory=list)

    async def append(self, records):
        if self.failing:
            raise AuditUnavailableError("no")
        self.kept += records
        return len(self.kept)

    async def size(self):
        return len(self.kept)

    async def nodes(self, wanted):
        return []

    async def record(self, index):
        return self.kept[index]

    async def forget(self, before):
        return 0


@pytest.mark.parametrize("refuses", [True, False])
async def test_records_wait_while_the_log_fails_and_a_setting_decides_whether_calls_are_refused(
    refuses,
):
    store = Unwilling()
    log = AuditLog(store, PlainData(), Metrics(), refuses=refuses)
    log(RequestRecord("req_1", "POST", route="/v1/generate"))
    log.check()
    await log.flush()

    if refuses:
        with pytest.raises(AuditUnavailableError):
            log.check()
    else:
        log.check()
    store.failing = False
    await log.flush()
    log.check()
    (record,) = map(orjson.loads, store.kept)
    assert record["request_id"] == "req_1"


async def test_calls_are_served_again_after_one_successful_write_even_as_records_keep_coming():
    class Busy(Unwilling):
        """A store during whose writes other records come in."""

        async def append(self, records):
            if len(states) < 10:
                states.append(log.failing)
                log.note("refused", {})
            return await super().append(records)

    states: list[bool] = []
    store = Busy()
    log = AuditLog(store, PlainData(), Metrics(), refuses=True)
    log.note("test", {})
    await log.flush()
    store.failing = False
    await log.flush()

    assert states == [False, True] + 8 * [False]


async def test_records_that_are_being_written_at_shutdown_are_written_once(tmp_path):
    class Slow(AuditFiles):
        """A store whose writes last a moment longer."""

        def _append(self, records):
            loop.call_soon_threadsafe(writing.set)
            time.sleep(0.05)
            return super()._append(records)

    loop, writing = asyncio.get_running_loop(), asyncio.Event()
    store = Slow(tmp_path / "audit")
    log = AuditLog(store, PlainData(), Metrics())
    log.note("test", {})
    flushing = asyncio.create_task(log.flush())
    await writing.wait()

    flushing.cancel()
    await asyncio.wait([flushing])
    await log.flush()

    assert flushing.cancelled()
    assert await store.size() == 1


async def test_memory_is_bounded_and_dropped_records_are_counted_in_the_log():
    store = Unwilling()
    log = AuditLog(store, PlainData(), Metrics())
    for i in range(MOST + 7):
        log.note("test", {"number": i})
    await log.flush()
    store.failing = False
    await log.flush()

    kinds = [orjson.loads(record) for record in store.kept]
    assert len(kinds) == MOST + 1
    assert {"kind": "dropped", "records": 7} in kinds


async def test_probes_and_scrapes_are_not_logged():
    store = Unwilling(failing=False)
    log = AuditLog(store, PlainData(), Metrics())
    for route in ("/healthz", "/readyz", "/metrics"):
        log(RequestRecord("req_1", "GET", route=route))
    await log.flush()

    assert store.kept == []


async def test_an_erased_callers_records_stay_in_the_chain_without_a_name(tmp_path):
    root_file.append(tmp_path / "roots")
    cipher = EncryptedData(FileRootKeys(tmp_path / "roots"), CallerKeyFiles(tmp_path / "keys"))
    store = AuditFiles(tmp_path / "audit")
    log = AuditLog(store, cipher, Metrics())
    log(RequestRecord("req_1", "POST", route="/v1/generate", caller="ann@example.com"))
    await log.flush()
    raw = await store.record(0)
    assert raw is not None
    assert b"ann" not in raw
    sealed = bytes.fromhex(orjson.loads(raw)["caller_sealed"])
    assert await cipher.decrypt("ann@example.com", sealed, b"audit") == b"ann@example.com"
    root = await root_of(store)

    await cipher.erase("ann@example.com")

    with pytest.raises(DataKeyError):
        await cipher.decrypt("ann@example.com", sealed, b"audit")
    assert await root_of(store) == root == reference([raw])


async def test_heads_are_written_under_object_lock(s3_url):
    admin = s3_client(s3_url, "us-east-1")
    await asyncio.to_thread(
        lambda: admin.create_bucket(Bucket="heads", ObjectLockEnabledForBucket=True)
    )
    async with aws_session().client("s3", region_name="us-east-1", endpoint_url=s3_url) as client:
        await S3Heads(client, "heads", "audit/").put(42, "signature")

    head = await asyncio.to_thread(
        lambda: admin.head_object(Bucket="heads", Key="audit/00000000000000000042.jws")
    )
    assert head["ObjectLockMode"] == "COMPLIANCE"


@contextmanager
def service(folder: Path, emulator_url: str, **more: Any) -> Iterator[httpx.Client]:
    if not (folder / "signing-keys").exists():
        signing_keys.append(folder / "signing-keys", b"\x06" * 32)
    settings = Settings(
        _env_file=None,
        endpoint_url=emulator_url,
        receipt_key_file=folder / "signing-keys",
        data_directory=folder,
        **{"audit_store": "files", **more},
    )
    with (
        serving(Rig(model=None, settings=settings).app()) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def until(http: httpx.Client, size: int) -> dict[str, Any]:
    for _ in range(1000):
        head: dict[str, Any] = http.get("/v1/audit/head").json()
        if head["size"] >= size:
            return head
        time.sleep(0.02)
    raise AssertionError(f"the log never had {size} records")


def proved(shown: dict[str, Any]) -> bool:
    leaf = leaf_hash(shown["raw"].encode())
    proof = [bytes.fromhex(digest) for digest in shown["proof"]]
    root = bytes.fromhex(shown["head"]["root"])
    return verify_inclusion(leaf, shown["index"], shown["head"]["size"], proof, root)


def test_over_http_each_call_has_a_proven_record_across_restart_and_rotation(
    tmp_path, emulator_url
):
    with service(tmp_path, emulator_url) as http:
        asked = [http.post("/v1/generate", json={"prompt": "A secret?"}) for _ in range(3)]
        first = until(http, 4)
        shown = [http.get(f"/v1/audit/records/{i}").json() for i in range(first["size"])]

    kinds = [one["record"]["kind"] for one in shown]
    assert kinds[:4] == ["start", "call", "call", "call"]
    assert all(proved(one) for one in shown)
    call = shown[1]["record"]
    assert call["request_id"] == asked[0].headers["x-request-id"]
    assert (
        call["calls"][0]["answer_sha256"]
        == sha256(asked[0].json()["generation"].encode()).hexdigest()
    )
    assert "A secret?" not in json.dumps(shown)

    signing_keys.append(tmp_path / "signing-keys", b"\x08" * 32)
    with service(tmp_path, emulator_url) as http:
        http.post("/v1/generate", json={"prompt": "Why?"})
        later = until(http, first["size"] + 2)
        both = http.get("/v1/audit/consistency", params={"first": first["size"]}).json()
        keyset = http.get("/.well-known/jwks.json").json()

    proof = [bytes.fromhex(digest) for digest in both["proof"]]
    roots = [bytes.fromhex(both[name]["root"]) for name in ("first", "second")]
    assert roots[0].hex() == first["root"]
    assert verify_consistency(first["size"], both["second"]["size"], proof, *roots)
    from app.services.receipts.verification import opened

    assert opened(first["signature"], keyset)["root"] == first["root"]
    assert opened(later["signature"], keyset)["size"] == later["size"]


def test_two_workers_share_one_log_over_http(tmp_path, emulator_url):
    with service(tmp_path, emulator_url) as one, service(tmp_path, emulator_url) as other:
        for _ in range(3):
            one.post("/v1/generate", json={"prompt": "Why?"})
            other.post("/v1/generate", json={"prompt": "Why?"})
        # Reading is recorded too, so the size alone does not show that both have written.
        for size in range(8, 1000):
            head = until(one, size)
            shown = [other.get(f"/v1/audit/records/{i}").json() for i in range(head["size"])]
            starts = sum(one["record"]["kind"] == "start" for one in shown)
            if starts == 2:
                break

    assert all(proved(one) for one in shown)
    assert starts == 2


def test_calls_are_refused_while_a_required_log_cannot_be_written(tmp_path, emulator_url):
    (tmp_path / "audit").write_text("a file where the folder would be")
    with service(tmp_path, emulator_url, audit_failure="refuse") as http:
        for _ in range(1000):
            refused = http.post("/v1/generate", json={"prompt": "Why?"})
            if refused.status_code == 503:
                break
            time.sleep(0.02)
        assert refused.json()["code"] == "audit_unavailable"
        assert http.get("/v1/models").status_code == 200
        (tmp_path / "audit").unlink()
        for _ in range(1000):
            if http.post("/v1/generate", json={"prompt": "Why?"}).status_code == 200:
                break
            time.sleep(0.02)
        assert http.post("/v1/generate", json={"prompt": "Why?"}).status_code == 200


def test_without_a_log_its_head_is_reported_missing(emulator_url, tmp_path):
    with service(tmp_path, emulator_url, audit_store="off") as http:
        assert http.get("/v1/audit/head").json()["code"] == "audit_record_missing"


def test_changes_of_keys_are_logged_by_id_and_scope():
    from app.domain.key import issue, revoke

    noted: list[dict[str, Any]] = []

    class Notes:
        def note(self, kind: str, facts: dict[str, Any]) -> None:
            noted.append({"kind": kind, **facts})

    changes = KeyChanges()
    _, ann = issue("Ann", [], {})
    _, bob = issue("Bob", [], {})
    changes({}, {ann.id: ann})
    changes.attach(Notes())  # type: ignore[arg-type]
    changes({ann.id: ann}, {ann.id: revoke(ann), bob.id: bob})
    changes({ann.id: ann, bob.id: bob}, {bob.id: bob})

    assert [note["kind"] for note in noted] == ["keys_changed"] * 3
    assert noted[1]["added"][0]["id"] == bob.id
    assert noted[1]["changed"][0]["revoked"]
    assert noted[2]["removed"] == [ann.id]
