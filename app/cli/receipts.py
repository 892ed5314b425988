"""``python -m app receipts``: adds a key that signs receipts and audit heads."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.aws_session import aws_session
from app.adapters.receipts import signing_keys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    new_key = actions.add_parser("new-key", help="add a key to a key file; it signs from now on")
    new_key.add_argument("file", type=Path, help="created if it is missing")
    new_key.add_argument("--kms-key", help="encrypt it by this key of AWS KMS")
    new_key.add_argument("--region", help="region of the KMS key, unless its ARN names it")


def run(parsed: argparse.Namespace) -> int:
    """Add the key and return the exit status."""
    seed = os.urandom(32)
    try:
        encrypted = asyncio.run(_encrypted(seed, parsed)) if parsed.kms_key else None
        name = signing_keys.append(parsed.file, seed, encrypted)
    except (OSError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(f"The key {name} is in {parsed.file}.\n")
    return 0


async def _encrypted(seed: bytes, parsed: argparse.Namespace) -> bytes:
    async with aws_session().client("kms", region_name=parsed.region) as kms:
        reply = await kms.encrypt(KeyId=parsed.kms_key, Plaintext=seed)
    encrypted: bytes = reply["CiphertextBlob"]
    return encrypted
