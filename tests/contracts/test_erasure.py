"""Erasure of one caller over HTTP: in every store, with a receipt."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from app.adapters.encryption import root_file
from app.adapters.receipts import signing_keys
from app.domain.access import Scope
from app.domain.errors import FileStoreError
from app.domain.key import issue, render
from app.services.erasure.service import ErasureService
from app.services.receipts.issuer import NoKeys, Receipts
from app.services.receipts.verification import opened
from app.settings import Settings
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def everything_on(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_erasure_deletes_one_callers_files_answers_and_key_and_returns_a_receipt(
    tmp_path, emulator_url
):
    root_file.append(tmp_path / "roots")
    signing_keys.append(tmp_path / "signing-keys", b"\x04" * 32)
    keys, callers = zip(
        *(issue(name, [*Scope], {}) for name in ("Ann", "Bob", "Admin")), strict=True
    )
    (tmp_path / "keys.json").write_text(render(callers))
    settings = Settings(
        _env_file=None,
        endpoint_url=emulator_url,
        keys_file=tmp_path / "keys.json",
        data_directory=tmp_path / "data",
        encryption_key_file=tmp_path / "roots",
        receipt_key_file=tmp_path / "signing-keys",
        audit_store="files",
    )
    rig = Rig(model=None, settings=settings)
    with serving(rig.app()) as url, httpx.Client(base_url=url, timeout=60) as http:
        ids = {}
        for name, key in zip(("ann", "bob"), keys, strict=False):
            sent = http.post(
                "/v1/files",
                files={"file": ("rows.jsonl", b"the secret of " + name.encode())},
                data={"purpose": "batch"},
                headers=bearer(key),
            )
            assert sent.status_code == 200, sent.text
            ids[name] = sent.json()["id"]
            asked = {**bearer(key), "Idempotency-Key": "one"}
            assert http.post("/v1/generate", json={"prompt": "?"}, headers=asked).status_code == 200
        assert b"the secret of" not in everything_on(tmp_path / "data")

        refused = http.delete(f"/v1/callers/{callers[0].id}/data", headers=without_admin(http))
        assert refused.status_code == 401
        erased = http.delete(f"/v1/callers/{callers[0].id}/data", headers=bearer(keys[2]))
        again = http.delete(f"/v1/callers/{callers[0].id}/data", headers=bearer(keys[2])).json()
        gone = http.get(f"/v1/files/{ids['ann']}/content", headers=bearer(keys[0]))
        kept = http.get(f"/v1/files/{ids['bob']}/content", headers=bearer(keys[1]))
        keyset = http.get("/.well-known/jwks.json").json()

    told = erased.json()
    assert erased.status_code == 200, erased.text
    assert told["key_dropped"] is True
    assert told["deleted"]["files"] == 1
    assert told["deleted"]["idempotent"] == 1
    assert told["left"] == []
    said = opened(told["receipt"], keyset)
    assert said["caller_sha256"] == sha256(callers[0].id.encode()).hexdigest()
    assert said["deleted"] == told["deleted"]
    assert (again["key_dropped"], again["deleted"]["files"]) == (False, 0)
    assert gone.status_code == 404
    assert kept.content == b"the secret of bob"
    assert b'"kind":"erasure"' in everything_on(tmp_path / "data" / "audit")


def without_admin(http: httpx.Client) -> dict[str, str]:
    return bearer("lv_nobody_nothing")


class Cipher:
    """Records whose keys were erased."""

    def __init__(self) -> None:
        self.erased: list[str] = []

    async def erase(self, owner: str) -> bool:
        self.erased.append(owner)
        return True


async def test_an_unreachable_store_is_reported_and_the_key_is_erased_anyway():
    async def away(_: str) -> int:
        raise FileStoreError("away")

    async def there(_: str) -> int:
        return 2

    cipher: Any = Cipher()
    service = ErasureService(cipher, {"files": away, "work": there}, Receipts(NoKeys()))

    erased = await service.erase("ann")

    assert cipher.erased == ["ann"]
    assert (erased.left, erased.deleted, erased.receipt) == (("files",), {"work": 4}, None)
