"""The contract of every DataCipher, and the further promises of the encrypting one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import boto3
import pytest

from app.adapters.aws_session import aws_session
from app.adapters.encryption import root_file, sealing
from app.adapters.encryption.aes import EncryptedData
from app.adapters.encryption.caller_key_files import CallerKeyFiles
from app.adapters.encryption.caller_keys_postgres import open_caller_keys
from app.adapters.encryption.caller_keys_redis import CallerKeysInRedis
from app.adapters.encryption.keys import CallerKeyStore, RootKeys
from app.adapters.encryption.plain import PlainData
from app.adapters.encryption.root_file import FileRootKeys
from app.adapters.encryption.root_kms import KmsRootKeys
from app.adapters.stores.redis_client import open_redis
from app.domain.errors import DataKeyError
from app.domain.ports import DataCipher
from app.settings import Settings
from app.wiring.encryption import kms_region, open_cipher

PLACE = b"cache:1"
in_postgres = pytest.mark.xdist_group("postgres")


@dataclass
class CountedClient:
    """A KMS client that records its calls."""

    inner: object
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        self.asked.append(name)
        return getattr(self.inner, name)


@pytest.fixture
def kms_url(s3_url: str) -> str:
    # moto serves all AWS services on one port.
    return s3_url


def kms_client(url: str):
    return boto3.client(
        "kms",
        endpoint_url=url,
        region_name="us-west-2",
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
    )


@pytest.fixture
def key_file(tmp_path):
    root_file.append(tmp_path / "root-keys")
    return tmp_path / "root-keys"


@pytest.fixture(params=["file", "kms"])
async def roots(request, key_file) -> AsyncIterator[RootKeys]:
    if request.param == "file":
        yield FileRootKeys(key_file)
        return
    url = request.getfixturevalue("kms_url")
    key_id = kms_client(url).create_key()["KeyMetadata"]["KeyId"]
    async with aws_session().client("kms", region_name="us-west-2", endpoint_url=url) as client:
        yield KmsRootKeys(client, key_id)


@pytest.fixture(params=["directory", "redis", pytest.param("postgres", marks=in_postgres)])
async def store(request, tmp_path) -> AsyncIterator[CallerKeyStore]:
    match request.param:
        case "directory":
            yield CallerKeyFiles(tmp_path / "caller-keys")
        case "redis":
            async with open_redis(request.getfixturevalue("redis_url")) as client:
                await client.flushdb()
                yield CallerKeysInRedis(client)
        case _:
            async with open_caller_keys(request.getfixturevalue("postgres").url) as keys:
                yield keys


@pytest.fixture(params=["plain", "aes"])
def cipher(request, tmp_path, key_file) -> DataCipher:
    if request.param == "plain":
        return PlainData()
    return EncryptedData(FileRootKeys(key_file), CallerKeyFiles(tmp_path / "caller-keys"))


def encrypted(key_file, folder) -> EncryptedData:
    return EncryptedData(FileRootKeys(key_file), CallerKeyFiles(folder))


@pytest.mark.parametrize("data", [b"", b"answer", bytes(1024 * 1024)])
async def test_encrypted_data_is_decrypted_unchanged(cipher, data):
    kept = await cipher.encrypt("ann", data, PLACE)

    assert await cipher.decrypt("ann", kept, PLACE) == data


async def test_erasing_an_unknown_caller_reports_that_there_was_no_key(cipher):
    assert await cipher.erase("ann") is False


async def test_two_replicas_share_keys_with_any_root_and_store(roots, store):
    one, other = EncryptedData(roots, store), EncryptedData(roots, store)

    kept = await asyncio.gather(
        *(cipher.encrypt("ann", b"%d" % i, PLACE) for i, cipher in enumerate([one, other] * 4))
    )

    assert [await one.decrypt("ann", k, PLACE) for k in kept] == [b"%d" % i for i in range(8)]
    assert [await other.decrypt("ann", k, PLACE) for k in kept] == [b"%d" % i for i in range(8)]


async def test_data_of_an_erased_caller_is_unreadable_and_others_stay_readable(roots, store):
    cipher = EncryptedData(roots, store)
    ann, bob = [await cipher.encrypt(who, b"answer", PLACE) for who in ("ann", "bob")]

    assert await cipher.erase("ann") is True

    with pytest.raises(DataKeyError, match="erased"):
        await cipher.decrypt("ann", ann, PLACE)
    assert await cipher.decrypt("bob", bob, PLACE) == b"answer"
    assert await cipher.erase("ann") is False


async def test_a_caller_who_returns_after_erasure_gets_a_new_key(roots, store):
    cipher = EncryptedData(roots, store)
    before = await cipher.encrypt("ann", b"before", PLACE)
    await cipher.erase("ann")

    after = await cipher.encrypt("ann", b"after", PLACE)

    assert await cipher.decrypt("ann", after, PLACE) == b"after"
    with pytest.raises(DataKeyError):
        await cipher.decrypt("ann", before, PLACE)


async def test_an_erasure_by_another_replica_takes_effect_when_the_cached_key_expires(roots, store):
    one, other = EncryptedData(roots, store, held_for=0), EncryptedData(roots, store)
    kept = await one.encrypt("ann", b"answer", PLACE)

    await other.erase("ann")

    with pytest.raises(DataKeyError):
        await one.decrypt("ann", kept, PLACE)


async def test_two_encryptions_of_one_text_have_nothing_in_common(key_file, tmp_path):
    cipher = encrypted(key_file, tmp_path / "keys")

    one, two = [await cipher.encrypt("ann", bytes(64), PLACE) for _ in range(2)]

    assert len(one) == 64 + sealing.OVERHEAD
    assert one[9:37] != two[9:37]
    assert one[37:] != two[37:]


async def test_any_changed_byte_is_detected(key_file, tmp_path):
    cipher = encrypted(key_file, tmp_path / "keys")
    kept = await cipher.encrypt("ann", b"answer", PLACE)

    for at in range(len(kept)):
        changed = bytes(byte ^ (i == at) for i, byte in enumerate(kept))
        with pytest.raises(DataKeyError):
            await cipher.decrypt("ann", changed, PLACE)
    for length in range(len(kept)):
        with pytest.raises(DataKeyError):
            await cipher.decrypt("ann", kept[:length], PLACE)


@pytest.mark.parametrize(("owner", "place"), [("bob", PLACE), ("ann", b"cache:2"), ("", PLACE)])
async def test_data_cannot_be_decrypted_for_another_owner_or_place(
    key_file, tmp_path, owner, place
):
    cipher = encrypted(key_file, tmp_path / "keys")
    await cipher.encrypt(owner, b"its own", place)
    kept = await cipher.encrypt("ann", b"answer", PLACE)

    with pytest.raises(DataKeyError):
        await cipher.decrypt(owner, kept, place)


async def test_plain_data_is_not_mistaken_for_encrypted(key_file, tmp_path):
    with pytest.raises(DataKeyError):
        await encrypted(key_file, tmp_path / "keys").decrypt("ann", b"an answer" * 10, PLACE)


async def test_a_stored_key_moved_to_another_owner_decrypts_nothing(key_file, tmp_path):
    folder = tmp_path / "keys"
    cipher = encrypted(key_file, folder)
    await cipher.encrypt("ann", b"answer", PLACE)
    (ann,) = [name async for name in CallerKeyFiles(folder).owners()]
    await cipher.encrypt("bob", b"answer", PLACE)
    for path in folder.iterdir():
        if path.name not in (ann, ".lock"):
            path.write_bytes((folder / ann).read_bytes())

    with pytest.raises(DataKeyError):
        await encrypted(key_file, folder).encrypt("bob", b"answer", PLACE)


async def test_the_store_contains_neither_callers_names_nor_plain_keys(key_file, tmp_path):
    folder = tmp_path / "keys"
    cipher = encrypted(key_file, folder)
    await cipher.encrypt("ann@example.com", b"answer", PLACE)
    (held,) = cipher._held.values()

    for path in folder.iterdir():
        assert "ann" not in path.name
        assert held.secret not in path.read_bytes()
        assert held.secret.hex().encode() not in path.read_bytes()


async def test_a_root_key_is_rotated_while_the_service_runs(key_file, tmp_path):
    folder = tmp_path / "keys"
    running = EncryptedData(FileRootKeys(key_file), CallerKeyFiles(folder), held_for=0)
    kept = await running.encrypt("ann", b"before", PLACE)
    (old,) = root_file.read(key_file)

    new = root_file.append(key_file)
    assert await running.decrypt("ann", kept, PLACE) == b"before"
    assert await running.rewrap() == 1
    assert await running.rewrap() == 0
    lines = key_file.read_text().splitlines(keepends=True)
    key_file.write_text("".join(line for line in lines if not line.startswith(old)))

    assert list(root_file.read(key_file)) == [new]
    assert await running.decrypt("ann", kept, PLACE) == b"before"
    assert await encrypted(key_file, folder).decrypt("ann", kept, PLACE) == b"before"


async def test_a_key_erased_during_rotation_stays_erased(roots, store):
    cipher = EncryptedData(roots, store)
    await cipher.encrypt("ann", b"answer", PLACE)
    (name,) = [owner async for owner in store.owners()]
    old = await store.get(name)
    assert old is not None

    await cipher.erase("ann")

    assert await store.replace(name, old, old) is False
    assert await store.get(name) is None


async def test_without_the_key_file_new_callers_are_refused_and_no_key_is_shown(key_file, tmp_path):
    cipher = encrypted(key_file, tmp_path / "keys")
    kept = await cipher.encrypt("ann", b"answer", PLACE)
    secret = key_file.read_text().split()[1]
    key_file.unlink()

    assert await cipher.decrypt("ann", kept, PLACE) == b"answer"
    with pytest.raises(DataKeyError) as raised:
        await cipher.encrypt("bob", b"answer", PLACE)
    assert secret not in str(raised.value)


async def test_kms_is_called_once_for_many_callers_and_once_more_after_a_restart(kms_url, tmp_path):
    key_id = kms_client(kms_url).create_key()["KeyMetadata"]["KeyId"]
    store = CallerKeyFiles(tmp_path / "keys")
    async with aws_session().client("kms", region_name="us-west-2", endpoint_url=kms_url) as client:
        counted = CountedClient(client)
        cipher = EncryptedData(KmsRootKeys(counted, key_id), store)
        kept = [await cipher.encrypt(f"caller {i}", b"answer", PLACE) for i in range(20)]
        assert counted.asked == ["generate_data_key"]

        counted.asked.clear()
        restarted = EncryptedData(KmsRootKeys(counted, key_id), store)
        for i, message in enumerate(kept):
            assert await restarted.decrypt(f"caller {i}", message, PLACE) == b"answer"
        assert counted.asked == ["decrypt"]


@pytest.mark.parametrize(
    ("port", "said"),
    [(None, "refused: NotFoundException"), (1, "can't be used: EndpointConnection")],
)
async def test_a_kms_that_refuses_or_is_unreachable_is_a_missing_key(kms_url, tmp_path, port, said):
    kms_url = f"http://127.0.0.1:{port}" if port else kms_url
    key_id = "11111111-2222-3333-4444-555555555555"
    async with aws_session().client("kms", region_name="us-west-2", endpoint_url=kms_url) as client:
        cipher = EncryptedData(KmsRootKeys(client, key_id), CallerKeyFiles(tmp_path / "keys"))
        with pytest.raises(DataKeyError, match=said):
            await cipher.encrypt("ann", b"answer", PLACE)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "name\n", "name c2hvcnQ=\n", "a {0}\na {0}\n", "a {0}x\n"]
)
def test_a_key_file_without_valid_keys_is_refused_without_quoting_it(tmp_path, text):
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    path = tmp_path / "keys"
    path.write_text(text.format(key))

    with pytest.raises(ValueError, match=str(path)) as raised:
        root_file.read(path)

    assert key not in str(raised.value)


def test_a_new_key_file_is_readable_by_its_owner_only(tmp_path):
    name = root_file.append(tmp_path / "keys")

    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert list(root_file.read(tmp_path / "keys")) == [name]


@pytest.mark.parametrize(
    ("key", "region"),
    [("arn:aws:kms:eu-central-1:1:key/2", "eu-central-1"), ("alias/a", "us-west-2")],
)
def test_a_kms_key_is_requested_in_its_own_region(key, region):
    assert kms_region(key, "us-west-2") == region


async def test_the_settings_choose_one_cipher_for_all_parts(tmp_path, key_file):
    async with open_cipher(aws_session(), Settings()) as cipher:
        assert isinstance(cipher, PlainData)
    settings = Settings(encryption_key_file=key_file, data_directory=tmp_path)
    async with open_cipher(aws_session(), settings) as cipher:
        kept = await cipher.encrypt("ann", b"answer", PLACE)
        assert b"answer" not in kept
    assert (tmp_path / "caller-keys").is_dir()
