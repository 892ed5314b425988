"""``python -m app audit``: reads the whole log and says whether it holds."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson

from app.domain.errors import AuditUnavailableError
from app.domain.merkle import cover, fold, leaf_hash
from app.services.audit.log import AuditStore
from app.services.receipts import verification
from app.settings import load
from app.wiring.audit import open_audit_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    actions = parser.add_subparsers(dest="action", required=True)
    verify = actions.add_parser("verify", help="hold every record against the tree, and heads")
    verify.add_argument(
        "--head", type=Path, action="append", default=[], help="a kept head's JWS; repeatable"
    )
    verify.add_argument("--keys", type=Path, help="the key set that heads are verified by")


def run(parsed: argparse.Namespace) -> int:
    """Print what holds and what does not; return 0 where all does, 1 where something does not."""
    try:
        keys = {"keys": []} if parsed.keys is None else orjson.loads(parsed.keys.read_bytes())
        heads = [path.read_text("utf-8").strip() for path in parsed.head]
        return asyncio.run(_verify(heads, keys))
    except (OSError, ValueError, AuditUnavailableError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


async def _verify(heads: list[str], keys: dict[str, Any]) -> int:
    settings = load()
    if settings.audit_store == "off":
        sys.stderr.write("No audit log is configured: LLAMA_VISION_AUDIT_STORE.\n")
        return 2
    faults: list[str] = []
    async with open_audit_store(settings) as store:
        size = await store.size()
        kept = await _records(store, size, faults)
        for head in heads:
            said = verification.opened(head, keys)
            root = fold(await store.nodes(cover((0, min(said["size"], size)))))
            if said["size"] > size:
                faults.append(f"the head of {said['size']} records is ahead: some were removed")
            elif root.hex() != said["root"]:
                faults.append(f"the head of {said['size']} records is of another log than this")
    sys.stdout.write(f"{size} records, {kept} of them kept, {len(heads)} heads\n")
    sys.stdout.writelines(f"FAILS {fault}\n" for fault in faults)
    if not faults:
        sys.stdout.write("holds: every kept record is in the tree, and every head is of it\n")
    if not heads:
        sys.stdout.write("not proved: that nobody wrote the whole log anew; keep heads elsewhere\n")
    return 1 if faults else 0


async def _records(store: AuditStore, size: int, faults: list[str]) -> int:
    """Hold every record against the tree, and return how many are kept."""
    kept = 0
    for index in range(size):
        record = await store.record(index)
        if record is None:
            continue
        kept += 1
        (leaf,) = await store.nodes([(0, index)])
        if leaf_hash(record) != leaf:
            faults.append(f"record {index} was changed")
    # The tree's own nodes: each is what its children make it.
    level = 1
    while size >> level:
        for index in range(size >> level):
            node, left, right = await store.nodes(
                [(level, index), (level - 1, 2 * index), (level - 1, 2 * index + 1)]
            )
            if fold([left, right]) != node:
                faults.append(f"node {index} of level {level} was changed")
        level += 1
    return kept
