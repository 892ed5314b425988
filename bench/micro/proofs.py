"""The cost of a receipt and of an audit record for a text.

    python -m bench.micro.proofs [--seconds 2] [--rounds 5]

CPU of this process for what a request with one call of the model does more: noting the call,
digesting 1 KB of request and of answer, signing the receipt; noting the audit record and writing
it, in batches of 200 as under load, into files on this disk. Signing alone stands beside, as the
part that can't be made cheaper. The parts are taken in turn, and the median of the rounds is shown.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.adapters.audit.files import AuditFiles
from app.adapters.encryption.plain import PlainData
from app.adapters.receipts.signing_keys import SigningKeys
from app.domain.generation import Completion, ModelRequest, Role, StopReason, Target, Turn
from app.domain.model import Dialect
from app.domain.usage import Usage
from app.services.audit.log import AuditLog
from app.services.receipts.issuer import BodyDigests, Receipts
from app.services.receipts.witness import WitnessModel
from app.telemetry import RequestRecord, recording
from app.telemetry.metrics import Metrics
from app.telemetry.trail import Trail

BODY = b"x" * 1024
TARGET = Target("us-west-2", "us.meta.llama3-2-11b-instruct-v1:0", Dialect.INVOKE)
REQUEST = ModelRequest(turns=(Turn(Role.USER, "Describe the sea in two sentences." * 10),))
ANSWER = Completion("The sea is wide. " * 20, Usage(80, 90), StopReason.STOP, "stop", 700, TARGET)
BATCH = 200
Work = Callable[[], Awaitable[object]]


class Echo:
    """A model that costs nothing."""

    async def generate(self, request: ModelRequest) -> Completion:  # noqa: ARG002 - the port's
        return ANSWER


def keys() -> SigningKeys:
    private = Ed25519PrivateKey.generate()
    return SigningKeys(private, "bench", {"bench": private.public_key().public_bytes_raw()})


def record(*, trail: bool) -> RequestRecord:
    return RequestRecord(
        "req_0123456789abcdef0123456789abcdef",
        "POST",
        route="/v1/generate",
        status=200,
        caller="ann",
        trail=Trail() if trail else None,
    )


class Parts:
    """The work that is measured."""

    def __init__(self, folder: Path) -> None:
        self.signer = keys()
        self.receipts = Receipts(self.signer, enabled=True)
        self.log = AuditLog(AuditFiles(folder), PlainData(), Metrics(), signer=self.signer)
        self.model = WitnessModel(Echo(), TARGET, lambda _: None)  # type: ignore[arg-type]
        self.noted = 0

    async def nothing(self) -> object:
        with recording(record(trail=False)):
            return await self.model.inner.generate(REQUEST)

    async def signature(self) -> object:
        return self.signer.sign(BODY)

    async def receipt(self) -> object:
        with recording(record(trail=True)) as current:
            await self.model.generate(REQUEST)
            digests = [sha256(BODY).hexdigest() for _ in range(2)]
            exchanged = BodyDigests(
                digests[0], len(BODY), digests[1], len(BODY), "application/json"
            )
            receipt = self.receipts.issue(current, exchanged)
        assert receipt is not None
        return receipt

    async def audited(self) -> object:
        with recording(record(trail=True)) as current:
            await self.model.generate(REQUEST)
        return await self._noted(current)

    async def both(self) -> object:
        with recording(record(trail=True)) as current:
            await self.model.generate(REQUEST)
            exchanged = BodyDigests(
                sha256(BODY).hexdigest(), len(BODY), sha256(BODY).hexdigest(), len(BODY), "text"
            )
            self.receipts.issue(current, exchanged)
        return await self._noted(current)

    async def _noted(self, noted: RequestRecord) -> object:
        self.log(noted)
        self.noted += 1
        if self.noted % BATCH == 0:
            await self.log.flush()
        return None


async def cost(work: Work, seconds: float) -> float:
    """Return the milliseconds of CPU, of all threads, that one ``work`` takes."""
    await work()
    done, began, until = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < until:
        for _ in range(BATCH):
            await work()
        done += BATCH
    return (time.process_time() - began) / done * 1000


async def measure(given: argparse.Namespace) -> None:
    with TemporaryDirectory() as folder:
        parts = Parts(Path(folder))
        works: dict[str, Work] = {
            "neither: both are off": parts.nothing,
            "an Ed25519 signature alone": parts.signature,
            "with a receipt": parts.receipt,
            "with an audit record": parts.audited,
            "with both": parts.both,
        }
        rounds = [
            [await cost(work, given.seconds) for work in works.values()]
            for _ in range(given.rounds)
        ]
    print("| a text | CPU ms | more than without |\n|---|---|---|")
    medians = [median(column) for column in zip(*rounds, strict=True)]
    for name, taken in zip(works, medians, strict=True):
        print(f"| {name} | {taken:.4f} | {taken - medians[0]:.4f} |")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=2, help="of each measurement")
    options.add_argument("--rounds", type=int, default=5)
    asyncio.run(measure(options.parse_args()))


if __name__ == "__main__":
    main()
