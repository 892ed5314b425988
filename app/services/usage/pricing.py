"""The price table: data with a date and a source, replaceable by a file of the operator's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any

from app.domain.cost import Cost, Price, Pricing, UnitPrice
from app.domain.model import ModelIdentity, ModelKind
from app.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A base model's price, for the kinds of id that are billed by token."""

    model: str
    kinds: frozenset[ModelKind]
    price: Price


@dataclass(frozen=True, slots=True)
class UnitRow:
    """The price of a Custom Model Unit of an imported model's running copy."""

    usd_per_unit_minute: float
    units_per_copy: Mapping[str, int]
    """Units by base model; missing ones are looked up in Bedrock."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices as they were listed on a day."""

    as_of: date
    source: str
    rows: tuple[PriceRow, ...]
    units: UnitRow | None = None
    guardrail_units: Mapping[str, float] = field(default_factory=dict)
    """US dollars for a guardrail's unit, by policy: free is 0, and unknown prices are absent."""

    def price(self, identity: ModelIdentity) -> Pricing | None:
        """Return the model's price; None if it is unknown."""
        for row in self.rows:
            if row.model == identity.base.key and identity.kind in row.kinds:
                return row.price
        if self.units is None or identity.kind is not ModelKind.IMPORTED_MODEL:
            return None
        return UnitPrice(
            self.units.usd_per_unit_minute, self.units.units_per_copy.get(identity.base.key)
        )


def cost(price: Pricing | None, usage: Usage, began: float = 0) -> Cost | None:
    """Return the cost of ``usage``; None if the price or a count is unknown."""
    if price is None:
        return None
    return price.answered(usage.prompt_token_count, usage.generation_token_count, began)


def load(path: Path | None = None) -> PriceTable:
    """Read the table in ``path``, or the service's own. Raises ValueError."""
    text = path.read_text("utf-8") if path else (files(__package__) / "prices.json").read_text()
    try:
        table = json.loads(text)
        return PriceTable(
            as_of=date.fromisoformat(table["as_of"]),
            source=str(table["source"]),
            rows=tuple(_row(row) for row in table["prices"]),
            units=_units(table["custom_model_units"]) if "custom_model_units" in table else None,
            guardrail_units={
                str(policy): _dollars(table["guardrail_units_usd"], policy)
                for policy in table.get("guardrail_units_usd", {})
            },
        )
    except KeyError as error:
        raise ValueError(f"{path or 'prices.json'}: {error.args[0]} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path or 'prices.json'}: {type(error).__name__}: {error}") from error


def _dollars(row: dict[str, Any], name: str) -> float:
    dollars = float(row[name])
    if not 0 <= dollars < inf:
        raise ValueError(f"{name} is {row[name]}, which is not a price")
    return dollars


def _row(row: dict[str, Any]) -> PriceRow:
    price = Price(_dollars(row, "input_usd_per_million"), _dollars(row, "output_usd_per_million"))
    return PriceRow(str(row["model"]), frozenset(ModelKind(kind) for kind in row["kinds"]), price)


def _units(row: dict[str, Any]) -> UnitRow:
    copies = {str(model): int(units) for model, units in row.get("units_per_copy", {}).items()}
    return UnitRow(_dollars(row, "usd_per_unit_minute"), copies)
