"""Opens the issuer of receipts, and the witnesses that note the facts for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aioboto3

from app.adapters.aws_session import CheckedConfig
from app.domain.ports import ImagePreparer, VisionModel
from app.services.receipts.issuer import NoKeys, Receipts
from app.services.receipts.witness import VerdictWitness, WitnessModel, WitnessPreparer
from app.services.residency.sentinel import ResidencySentinel
from app.settings import Settings
from app.wiring.model import Around


@asynccontextmanager
async def open_receipts(session: aioboto3.Session, settings: Settings) -> AsyncIterator[Receipts]:
    """Open the issuer of receipts; it issues none if no key is configured."""
    if settings.receipt_key_file is None:
        yield Receipts(NoKeys())
        return
    # A service that gives no receipts need not load their signer.
    from app.adapters.receipts.signing_keys import open_signing_keys

    decrypt = partial(decrypted, session, settings)
    async with open_signing_keys(settings.receipt_key_file, decrypt) as keys:
        yield Receipts(
            keys,
            enabled=True,
            always=settings.receipts == "always",
            caller=settings.receipt_caller,
        )


async def decrypted(session: aioboto3.Session, settings: Settings, data: bytes) -> bytes:
    """Return ``data`` decrypted by AWS KMS; the ciphertext itself names the key."""
    config = CheckedConfig(connect_timeout=5, read_timeout=5)
    async with session.client("kms", region_name=settings.region, config=config) as kms:
        reply = await kms.decrypt(CiphertextBlob=data)
    plain: bytes = reply["Plaintext"]
    return plain


def proves(settings: Settings) -> bool:
    """Tell whether requests leave a trail of digests."""
    return settings.receipt_key_file is not None or settings.audit_store != "off"


def witness(settings: Settings, sentinel: ResidencySentinel) -> Around:
    """Return the wrapper that notes a target's answers, if receipts or the audit log are on."""
    if not proves(settings):
        return lambda _, model: model
    return lambda target, model: WitnessModel(model, target, sentinel.report_of)


def verdicts(settings: Settings, model: VisionModel) -> VisionModel:
    """Return ``model``; its guardrail's verdicts are noted if receipts or the audit log are on."""
    return VerdictWitness(model) if proves(settings) else model


def witnessed_pictures(settings: Settings, preparer: ImagePreparer) -> ImagePreparer:
    """Return ``preparer``; each picture is noted if receipts or the audit log are on."""
    return WitnessPreparer(preparer) if proves(settings) else preparer
