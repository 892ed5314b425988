"""Measures the time from the start of the service's process until it is ready.

    python -m bench.micro.cold_start [--runs 5] [--top 25] [--decoder]

It is kept on one core, with bytecode written, one decoder, which waits for pictures as on Lambda
(with ``--decoder`` it is started first, as by servers), in front of an address where nobody
listens: a start asks Bedrock nothing that it waits for. The clock counts other work of the machine
too, CPU does not; the median of the runs is shown. Further runs time each import, by Python's own
``-X importtime``, added up by package, or by folder of the service; the least of the runs is shown.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from app.adapters.access import key_file
from app.domain import key
from app.domain.access import Scope
from bench import process
from bench.peers import recording
from fixtures.process import free_port, running

NOBODY = "https://127.0.0.1:9"
"""With TLS, as Bedrock's: reading the certificates that are trusted is a part of a start."""
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \| +(\S+)$", re.MULTILINE)
_HEAD = "import time: self [us]"


@dataclass(frozen=True, slots=True)
class Start:
    """One start, seconds."""

    clock: float
    cpu: float
    decoders_cpu: float
    """CPU of the processes that it started, up to the same moment."""


def variables(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a service with API keys, whose files lie in ``folder``."""
    _, record = key.issue("bench", (Scope.GENERATE,), {})
    keys = folder / "keys.json"
    key_file.write(keys, (record,))
    return {
        "LLAMA_VISION_PORT": str(free_port()),
        "LLAMA_VISION_MODEL_ID": recording.MODEL,
        "LLAMA_VISION_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": NOBODY,
        "LLAMA_VISION_KEYS_FILE": str(keys),
        "LLAMA_VISION_USAGE_FILE": str(folder / "usage.sqlite3"),
        "LLAMA_VISION_DATA_DIRECTORY": str(folder / "data"),
        "LLAMA_VISION_IMAGE_WORKERS": "1",
        "LLAMA_VISION_IMAGE_WORKERS_WAIT": "true",
        **more,
    }


def start(**more: str) -> tuple[Start, str]:
    """Start the service once; return its times and its output."""
    with TemporaryDirectory() as folder:
        environment = variables(Path(folder), **more)
        began = time.perf_counter()
        with running("app", "serve", environment=environment) as served:
            urlopen(f"{served.url}/readyz", timeout=30).close()  # It raises where it is not 200.
            clock = time.perf_counter() - began
            use = process.use(served.process.pid)
            return Start(clock, use.main, use.workers), served.log()


def modules(log: str) -> dict[str, int]:
    """Return the microseconds of each module from the output of ``-X importtime``.

    Reads up to where another process begins to write.
    """
    own = log.split(_HEAD)[1]
    return {module: int(microseconds) for microseconds, module in _IMPORT.findall(own)}


def packages(taken: Mapping[str, int]) -> Counter[str]:
    """Add up what the modules of each package took."""
    together: Counter[str] = Counter()
    for module, microseconds in taken.items():
        together[package(module)] += microseconds
    return together


def package(module: str) -> str:
    """Return the package of a module: its folder in the service, else the outermost."""
    depth = 3 if module.startswith("app.") else 1
    return ".".join(module.split(".")[:depth])


def least(profiles: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Return the smallest figure of each package, of those that all profiles name."""
    first, *others = profiles
    return Counter(
        {
            name: min([taken, *(other[name] for other in others)])
            for name, taken in first.items()
            if all(name in other for other in others)
        }
    )


def medians(starts: Sequence[Start]) -> dict[str, float]:
    """Return the median of each figure."""
    rows = [asdict(each) for each in starts]
    return {name: round(median(row[name] for row in rows), 2) for name in rows[0]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--top", type=int, default=25, help="packages whose imports are shown")
    options.add_argument("--decoder", action="store_true", help="started before it is ready")
    chosen = options.parse_args()
    waits = "false" if chosen.decoder else "true"
    with process.on_core(process.cores()[0]):
        start()  # The first start writes the bytecode.
        starts = [start(LLAMA_VISION_IMAGE_WORKERS_WAIT=waits)[0] for _ in range(chosen.runs)]
        logs = [start(PYTHONPROFILEIMPORTTIME="1")[1] for _ in range(min(3, chosen.runs))]
    print(json.dumps(medians(starts)))
    taken = least(packages(modules(log)) for log in logs)
    print(f"\n{'all imports':36} {taken.total() / 1000:8.1f} ms")
    for name, microseconds in taken.most_common(chosen.top):
        share = microseconds / taken.total()
        print(f"{name:36} {microseconds / 1000:8.1f} ms {share:6.1%}")


if __name__ == "__main__":
    main()
