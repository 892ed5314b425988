"""Put the last results into docs: ``python -m bench.peers.publish``."""

from pathlib import Path

from bench.peers import plots
from bench.peers.results import Results

PLOTS = {
    "benchmark-throughput.png": "Requests a second",
    "benchmark-latency.png": "What is added to one request",
    "benchmark-memory.png": "Memory",
}
"""Files by the figure that they show."""
DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "benchmark.md"


def draw(results: Results, folder: Path) -> None:
    """Draw the plots into ``folder``."""
    table = results.table
    throughput, latency, memory = (folder / name for name in PLOTS)
    plots.throughput(table, results.verdicts, throughput)
    plots.latency(table, latency)
    plots.memory(table, memory)


def publish(results: Results) -> None:
    """Write the page's generated part, its plots and the raw results."""
    shown = "\n".join(f"![{title}](images/{name})" for name, title in PLOTS.items())
    PAGE.write_text(filled(PAGE.read_text(), f"{shown}\n\n{results.markdown()}"))
    draw(results, DOCS / "images")
    results.write(DOCS / "benchmark.json")


def filled(page: str, text: str, part: str = "figures") -> str:
    """Return ``page`` with ``text`` between the marks of ``part``."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, _, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not ended:
        raise ValueError(f"the page has no {begin} followed by {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


if __name__ == "__main__":
    publish(Results.read())
