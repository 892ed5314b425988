"""``python -m app audit``: reads the whole audit log and reports whether it is intact."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app.domain.errors import AuditUnavailableError
from app.domain.merkle import cover, fold, leaf_hash
from app.services.audit.log import AuditStore
from app.services.receipts import verification
from app.services.receipts.issuer import HEAD_TYPE
from app.settings import load
from app.wiring.audit import open_audit_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    verify = actions.add_parser(
        "verify", help="check every record and the given heads against the tree"
    )
    verify.add_argument(
        "--head",
        type=Path,
        action="append",
        default=[],
        help="file with the JWS of a head that was kept; may be repeated",
    )
    verify.add_argument("--keys", type=Path, help="file with the key set that verifies heads")


def run(parsed: argparse.Namespace) -> int:
    """Print the result of the checks; return 0 if all hold, 1 if one fails, 2 if it can't tell."""
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
    async with open_audit_store(settings) as store:
        size = await store.size()
        records = await _records(store, size)
        faults = [*records.faults(settings.audit_retention_days), *await _nodes(store, size)]
        for head in heads:
            statement = verification.opened(head, keys, HEAD_TYPE)
            root = fold(await store.nodes(cover((0, min(statement["size"], size)))))
            if statement["size"] > size:
                faults.append(
                    f"a head has {statement['size']} records, more than the log: some were removed"
                )
            elif root.hex() != statement["root"]:
                faults.append(f"the head of {statement['size']} records belongs to another log")
    kept = size - len(records.missing)
    sys.stdout.write(f"{size} records, {kept} of them kept, {len(heads)} heads\n")
    sys.stdout.writelines(f"FAILS {fault}\n" for fault in faults)
    if not faults:
        sys.stdout.write("holds: every kept record is in the tree, and every head matches it\n")
    if records.missing and not faults:
        days = settings.audit_retention_days
        sys.stdout.write(
            f"not proved: the content of deleted records; retention deletes records older than "
            f"{days} days\n"
        )
    if not heads:
        sys.stdout.write("not proved: that the whole log was not rewritten; keep heads elsewhere\n")
    return 1 if faults else 0


@dataclass(slots=True)
class _Records:
    """The indexes of records that do not agree with the tree."""

    missing: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)

    def faults(self, retention_days: int | None) -> Iterator[str]:
        """Yield the faults. Missing old records are none if ``retention_days`` is set."""
        if self.changed:
            yield f"{_named(self.changed)} changed"
        if self.unreadable:
            yield f"{_named(self.unreadable)} moved or cut off"
        oldest = self.missing == list(range(len(self.missing)))
        if self.missing and (retention_days is None or not oldest):
            yield f"{_named(self.missing)} removed, but not by retention"


async def _records(store: AuditStore, size: int) -> _Records:
    """Check every record against its leaf of the tree."""
    records = _Records()
    for index in range(size):
        try:
            record = await store.record(index)
            (leaf,) = await store.nodes([(0, index)])
        except AuditUnavailableError:
            records.unreadable.append(index)
            continue
        if record is None:
            records.missing.append(index)
        elif leaf_hash(record) != leaf:
            records.changed.append(index)
    return records


async def _nodes(store: AuditStore, size: int) -> list[str]:
    """Return a fault for each inner node that is not the hash of its children."""
    faults = []
    level = 1
    while size >> level:
        for index in range(size >> level):
            node, left, right = await store.nodes(
                [(level, index), (level - 1, 2 * index), (level - 1, 2 * index + 1)]
            )
            if fold([left, right]) != node:
                faults.append(f"node {index} of level {level} was changed")
        level += 1
    return faults


def _named(numbers: list[int]) -> str:
    """Return ``records 1 to 3, 7 were``; after ten runs of indexes the rest is ``others``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    parts = [f"{a} to {b}" if b > a else str(a) for a, b in runs[:10]]
    if len(runs) > 10:
        parts.append("others")
    return f"record {parts[0]} was" if len(numbers) == 1 else f"records {', '.join(parts)} were"
