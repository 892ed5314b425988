"""The price table: data with a date and a source, replaceable by a file of the operator's."""

import json
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from app.domain.cost import Cost, Price
from app.domain.generation import Usage
from app.domain.model import ModelIdentity, ModelKind


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A base model's price, for the kinds of id that are billed by token."""

    model: str
    kinds: frozenset[ModelKind]
    price: Price


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices as they were listed on a day."""

    as_of: date
    source: str
    rows: tuple[PriceRow, ...]

    def price(self, identity: ModelIdentity) -> Price | None:
        """Return the model's price, None where it is unknown or not by token."""
        for row in self.rows:
            if row.model == identity.base.key and identity.kind in row.kinds:
                return row.price
        return None


def cost(price: Price | None, usage: Usage) -> Cost | None:
    """Return what ``usage`` costs; None where the price or a count is unknown."""
    prompt, generation = usage.prompt_token_count, usage.generation_token_count
    if price is None or prompt is None or generation is None:
        return None
    return price.of(prompt, generation)


def load(path: Path | None = None) -> PriceTable:
    """Read the table in ``path``, or the service's own. Raises ValueError."""
    text = path.read_text("utf-8") if path else (files(__package__) / "prices.json").read_text()
    try:
        table = json.loads(text)
        return PriceTable(
            as_of=date.fromisoformat(table["as_of"]),
            source=str(table["source"]),
            rows=tuple(_row(row) for row in table["prices"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path or 'prices.json'}: {type(error).__name__}: {error}") from error


def _row(row: dict[str, Any]) -> PriceRow:
    price = Price(float(row["input_usd_per_million"]), float(row["output_usd_per_million"]))
    return PriceRow(str(row["model"]), frozenset(ModelKind(kind) for kind in row["kinds"]), price)
