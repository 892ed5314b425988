"""The figures as Markdown, for terminals and for docs."""

from collections.abc import Mapping, Sequence

from bench.peers.figures import Figures, Table
from bench.peers.recording import CHUNKS
from bench.peers.run import DIRECT, NAIVE, Skipped
from bench.peers.targets import Relation, Target
from bench.peers.verdict import TAKEN
from bench.peers.workloads import WORKLOADS, Shape, Workload

UNKNOWN = "-"
REFUSED = "‡"
LIMITED = "† Caller and upstream were near the limit of their own core."
ONE_CORE = "§ Gateway, caller and upstream shared one core."
_WORDS = {True: "met", False: "**not met**", None: "not measured"}


Verdicts = Mapping[str, Mapping[str, str]]
"""Whether the model takes the request, by workload and gateway; see `bench.peers.verdict`."""


def tables(table: Table, verdicts: Verdicts, skipped: Skipped) -> str:
    """Return one table for each workload that ran."""
    ran = {workload for workload, _ in table}
    return "\n\n".join(
        _workload(each, table, verdicts.get(each.name, {}), skipped.get(each.identity.value, {}))
        for each in WORKLOADS
        if each.name in ran
    )


def targets(found: Sequence[Target]) -> str:
    """Return the table of aims."""
    rows = [[t.title, _wanted(t), number(t.measured), _spread(t), _WORDS[t.met]] for t in found]
    return markdown(["target", "wanted", "measured", "least to most of the rounds", ""], rows)


def _spread(target: Target) -> str:
    if not target.rounds:
        return UNKNOWN
    return f"{number(min(target.rounds))} to {number(max(target.rounds))}"


def _wanted(target: Target) -> str:
    bound, relation = f"{target.bound:,g}", target.relation
    return f"under {bound}" if relation is Relation.UNDER else f"{bound} {relation.value}"


def _workload(
    workload: Workload, table: Table, verdicts: Mapping[str, str], skipped: Mapping[str, str]
) -> str:
    found = [figures for (name, _), figures in table.items() if name == workload.name]
    naive = table.get((workload.name, NAIVE))
    streamed = workload.shape is Shape.STREAM
    heading = ["gateway", "requests/s", "x naive", "p50 ms", "p90", "p99", "added p50"]
    heading += ["first ms"] if streamed else []
    heading += ["added a chunk, µs"] if streamed and workload.in_flight == 1 else []
    heading += ["CPU ms", "memory MiB", "stall p99 ms (looks)", "bytes upstream", "errors"]
    rows = [
        _row(workload, figures, naive, verdicts.get(figures.gateway, TAKEN)) for figures in found
    ]
    if not workload.only:
        rows += [
            [f"{name}: {why}", *[UNKNOWN] * (len(heading) - 1)] for name, why in skipped.items()
        ]
    title = f"### {workload.title}, {workload.in_flight} in flight"
    notes = [LIMITED] if any(figures.limited for figures in found) else []
    notes += [ONE_CORE] if any(figures.one_core for figures in found) else []
    notes += [
        f"{REFUSED} The model refuses what {gateway} sends: {said}"
        for gateway, said in verdicts.items()
        if said != TAKEN and gateway != DIRECT
    ]
    return "\n\n".join([title, markdown(heading, rows), *notes])


def _row(workload: Workload, figures: Figures, naive: Figures | None, said: str) -> list[str]:
    streamed, alone = workload.shape is Shape.STREAM, workload.in_flight == 1
    direct = figures.gateway == DIRECT
    ratio = figures.per_second / naive.per_second if naive and naive.per_second else None
    marks = ("†" if figures.limited else "") + ("§" if figures.one_core else "")
    marks += REFUSED if said != TAKEN and not direct else ""
    added, lag = figures.added_p50, figures.lag_p99_ms
    per_chunk = None if added is None else added / CHUNKS * 1000
    return [
        figures.gateway,
        f"{number(figures.per_second)}{marks}",
        number(None if direct else ratio),
        number(figures.p50),
        number(figures.p90),
        number(figures.p99),
        number(added),
        *([number(figures.first_p50)] if streamed else []),
        *([number(per_chunk)] if streamed and alone else []),
        both(figures.cpu_ms, figures.workers_cpu_ms),
        both(figures.peak_mib, figures.workers_peak_mib),
        UNKNOWN if lag is None else f"≤ {lag:g} ({figures.lag_looks})",
        number(figures.upstream_bytes),
        number(figures.failed),
    ]


def both(main: float | None, workers: float | None) -> str:
    """Return the figure of the process that serves, and its workers' where there are any."""
    return f"{number(main)} + {number(workers)}" if workers else number(main)


def number(value: float | None) -> str:
    """Return three digits, more of whole numbers."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns are aligned, so that it reads well unrendered too."""
    whole = [[_cell(text) for text in row] for row in (heading, *rows)]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    first, *others = (_line(row, widths) for row in whole)
    return "\n".join([first, "|" + "|".join("-" * (w + 2) for w in widths) + "|", *others])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(f"{cell:<{w}}" for cell, w in zip(cells, widths, strict=True)) + " |"
