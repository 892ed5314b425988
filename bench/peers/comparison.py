"""Starts a comparison's processes: the upstream, and gateways in front of it."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import process
from bench.peers import dialects, gateways, recording
from bench.peers.gateways import Gateway, UnavailableError
from bench.peers.run import DIRECT, Skipped
from bench.peers.workloads import Identity
from fixtures.process import running


@dataclass(frozen=True, slots=True)
class Comparison:
    """The running processes of a comparison."""

    upstream_url: str
    upstream_pid: int
    one_core: bool
    """Whether all share one core."""
    gateways: list[Gateway] = field(default_factory=list)
    """The first is the upstream itself."""
    skipped: Skipped = field(default_factory=dict)


@contextmanager
def comparison(
    names: Sequence[str], identities: Iterable[Identity] = (Identity.SIGNED,)
) -> Iterator[Comparison]:
    """Run gateways on the first core, one of each name and identity.

    The upstream and this process run on the last.
    """
    cores = process.cores()
    with process.on_core(cores[-1]), ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        recording.write(folder)
        upstream = stack.enter_context(running("bench.peers.upstream", str(folder)))
        url, pid = upstream.url, upstream.process.pid
        direct = Gateway(DIRECT, url, dialects.direct(), pid)
        started = Comparison(url, pid, len(cores) == 1, [direct])
        for identity, name in product(identities, names):
            progress(f"starting {name}, {identity.value}")
            try:
                gateway = stack.enter_context(gateways.started(name, url, identity, cores[0]))
                started.gateways.append(gateway)
            except UnavailableError as error:
                started.skipped.setdefault(identity.value, {})[name] = str(error)
        yield started


def progress(line: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{line}\n")
