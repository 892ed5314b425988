"""Draws the figures, each as a PNG."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bench.peers.figures import Figures, Table
from bench.peers.run import CHAT, DIRECT, LITELLM, NAIVE, OURS
from bench.peers.tables import Verdicts
from bench.peers.verdict import TAKEN
from bench.peers.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

BUSY = ("text-64", "100kb-64", "500kb-64", "500kb-key-64", "photo-4", "stream-16")
CALM = ("text-1", "100kb-1", "500kb-1", "stream-1")
OTHER = "#444444"
COLOURS = {OURS: "#1f6feb", CHAT: "#79b8ff", NAIVE: "#8b949e", LITELLM: "#d29922"}


def throughput(table: Table, verdicts: Verdicts, file: Path) -> None:
    """Draw requests a second where many are in flight; hollow where the model refuses them."""
    title = "Requests a second on one core (hollow: refused by the model)"
    _draw(table, BUSY, title, _rate, file, verdicts)


def latency(table: Table, file: Path) -> None:
    """Draw the latency that a gateway adds to one request at a time."""
    _draw(table, CALM, "Added to one request at a time: p50, ms", _added, file)


def memory(table: Table, file: Path) -> None:
    """Draw the most memory, workers included."""
    _draw(table, BUSY, "Most resident memory, worker processes included, MiB", _memory, file)


def _rate(figures: Figures) -> float | None:
    return figures.per_second


def _added(figures: Figures) -> float | None:
    return figures.added_p50


def _memory(figures: Figures) -> float | None:
    return figures.whole_peak_mib


def _draw(
    table: Table,
    names: Sequence[str],
    title: str,
    value: Callable[[Figures], float | None],
    file: Path,
    verdicts: Verdicts = MappingProxyType({}),
) -> None:
    """Draw a panel for each workload that ran, a bar for each gateway."""
    # Imported here, as benchmarks without plots do without matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ran = {workload for workload, _ in table}
    shown = [each for each in WORKLOADS if each.name in names and each.name in ran]
    if not shown:
        return
    figure = Figure(figsize=(7.2, 0.5 + 1.15 * len(shown)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    for axes, workload in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        bars = _panel(axes, workload, table, value)
        for gateway, said in verdicts.get(workload.name, {}).items():
            if said != TAKEN and gateway in bars:
                bars[gateway].set(fill=False, edgecolor=COLOURS.get(gateway, OTHER), hatch="///")
    figure.savefig(file)


def _panel(
    axes: "Axes", workload: Workload, table: Table, value: Callable[[Figures], float | None]
) -> "dict[str, Rectangle]":
    found = {
        gateway: value(figures) or 0
        for (name, gateway), figures in table.items()
        if name == workload.name and gateway != DIRECT
    }
    colours = [COLOURS.get(gateway, OTHER) for gateway in found]
    bars = axes.barh(list(found), list(found.values()), color=colours, height=0.7)
    axes.bar_label(
        bars,
        [f"{each:,.3g}" if each < 100 else f"{each:,.0f}" for each in found.values()],
        padding=3,
        fontsize=8,
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(f"{workload.title}, {workload.in_flight} in flight", fontsize=9, loc="left")
    axes.tick_params(labelsize=8, length=0)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    return dict(zip(found, bars, strict=True))
