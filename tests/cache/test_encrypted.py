"""Cached answers on disk, encrypted as in production."""

from pathlib import Path

import pytest

from app.adapters.encryption import root_file
from app.domain import key
from app.domain.access import Scope
from app.settings import Settings
from tests.support.service.application import Rig

SECRET = "marzipan"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root_file.append(tmp_path / "root.keys")
    return tmp_path


def rig(folder: Path, keys: str) -> Rig:
    return Rig(
        settings=Settings(
            _env_file=None,
            cache="on",
            cache_store="sqlite",
            cache_timeout=10,
            data_directory=folder / "data",
            encryption_key_file=folder / "root.keys",
            keys=keys,
        )
    )


def test_cached_answers_are_unreadable_on_disk_and_survive_a_restart(folder):
    secret, record = key.issue("ann", (Scope.GENERATE,))
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"prompt": SECRET, "temperature": 0}
    told = []
    for _ in range(2):
        with rig(folder, key.render((record,))).client() as http:
            told.append(http.post("/v1/generate", json=body, headers=headers).json())

    assert [answer["cached"] for answer in told] == [False, True]
    assert SECRET in told[1]["generation"]
    kept = [path for path in (folder / "data").rglob("*") if path.is_file()]
    assert any(path.name.startswith("answers.sqlite3") for path in kept)
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]


def test_with_another_root_key_nothing_is_decrypted_and_the_model_is_asked_again(folder):
    secret, record = key.issue("ann", (Scope.GENERATE,))
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"prompt": SECRET, "temperature": 0}
    with rig(folder, key.render((record,))).client() as http:
        http.post("/v1/generate", json=body, headers=headers)
    (folder / "root.keys").unlink()
    root_file.append(folder / "root.keys")
    with rig(folder, key.render((record,))).client() as http:
        answer = http.post("/v1/generate", json=body, headers=headers)

    assert (answer.status_code, answer.json()["cached"]) == (200, False)
