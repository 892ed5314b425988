"""Put the last results into docs: ``python -m bench.publish``."""

from pathlib import Path

from bench import plots
from bench.results import Results

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmark.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def draw(results: Results, folder: Path) -> None:
    """Draw the plots into ``folder``."""
    table = results.table
    plots.throughput(table, results.verdicts, folder / "benchmark-throughput.png")
    plots.latency(table, folder / "benchmark-latency.png")
    plots.memory(table, folder / "benchmark-memory.png")


def publish(results: Results) -> None:
    """Write the page's generated part, its plots and the raw results."""
    PAGE.write_text(filled(PAGE.read_text(), results.markdown()))
    draw(results, DOCS / "images")
    results.write(DOCS / "benchmark.json")


def filled(page: str, text: str) -> str:
    """Return ``page`` with ``text`` between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {BEGIN} followed by {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


if __name__ == "__main__":
    publish(Results.read())
