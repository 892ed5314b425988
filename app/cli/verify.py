"""``python -m app verify``: states in words what a receipt proves."""

import argparse
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson

from app.services.receipts import verification
from app.services.receipts.verification import Evidence

_WORDS = {True: "holds     ", False: "FAILS     ", None: "not proved"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "receipt",
        type=Path,
        help="a file with the receipt, saved headers, or a saved stream; or an erasure's answer",
    )
    parser.add_argument(
        "--keys",
        required=True,
        help="the service's public keys: a file, or the URL of its /.well-known/jwks.json",
    )
    parser.add_argument("--answer", type=Path, help="the answer as it was received, or its text")
    parser.add_argument("--request", type=Path, help="the request's body as it was sent")
    parser.add_argument("--image", type=Path, action="append", default=[], help="may be repeated")


def run(parsed: argparse.Namespace) -> int:
    """Print a line for each statement; return 0 if none fails, 1 if one does, 2 on bad input."""
    try:
        receipt = verification.extracted(parsed.receipt.read_text("utf-8"))
        evidence = Evidence(
            None if parsed.answer is None else parsed.answer.read_bytes(),
            [path.read_bytes() for path in parsed.image],
            None if parsed.request is None else parsed.request.read_bytes(),
        )
        statements = list(verification.verify(receipt, _keys(parsed.keys), evidence))
    except (OSError, ValueError, httpx.HTTPError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for statement in statements:
        sys.stdout.write(f"{_WORDS[statement.holds]} {statement.text}\n")
    return 1 if any(statement.holds is False for statement in statements) else 0


def _keys(where: str) -> dict[str, Any]:
    if where.startswith(("http://", "https://")):
        answer = httpx.get(where, timeout=10).raise_for_status()
        key_set = answer.json()
    else:
        try:
            key_set = orjson.loads(Path(where).read_bytes())
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{where}: is not a JSON Web Key Set: {error}") from error
    if not isinstance(key_set, dict) or not isinstance(key_set.get("keys"), list):
        raise ValueError(f"{where}: is not a JSON Web Key Set")
    return key_set
