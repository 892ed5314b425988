"""The price table."""

import json

import pytest

from app.domain.cost import Price, UnitPrice
from app.domain.model import identify
from app.domain.usage import Usage
from app.services.usage import pricing

ARN = "arn:aws:bedrock:us-west-2:123456789012:"


def test_the_served_model_has_a_dated_price_with_its_source():
    table = pricing.load()
    price = table.price(identify("us.meta.llama3-2-11b-instruct-v1:0"))

    assert isinstance(price, Price)
    assert price.most(1_000_000, 500_000).total == pytest.approx(0.16 + 0.08)
    assert table.as_of.year >= 2026
    assert table.source


@pytest.mark.parametrize(
    "model_id",
    [
        "us.meta.llama3-2-90b-instruct-v1:0",
        f"{ARN}provisioned-model/abc",
    ],
)
def test_models_without_a_listed_token_price_have_none(model_id):
    assert pricing.load().price(identify(model_id)) is None


def test_an_unknown_price_or_count_gives_an_unknown_cost_and_not_zero():
    price = pricing.load().rows[0].price

    assert pricing.cost(None, Usage(1, 1)) is None
    assert pricing.cost(price, Usage(1, None)) is None
    assert pricing.cost(price, Usage(0, 0)) == price.most(0, 0)


def test_an_operators_table_replaces_the_services_own(tmp_path):
    row = {
        "model": "llama3-2-90b",
        "kinds": ["inference-profile"],
        "input_usd_per_million": 2,
        "output_usd_per_million": 3,
    }
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"as_of": "2026-01-02", "source": "contract", "prices": [row]}))
    table = pricing.load(path)

    price = table.price(identify("us.meta.llama3-2-90b-instruct-v1:0"))
    assert isinstance(price, Price)
    assert price.most(1_000_000, 1_000_000).total == 5
    assert table.price(identify("us.meta.llama3-2-11b-instruct-v1:0")) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"as_of": "x", "source": "", "prices": []}'])
def test_an_invalid_table_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "prices.json"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"prices\.json"):
        pricing.load(path)


@pytest.mark.parametrize("units", [{}, {"usd_per_unit_minute": -1}, {"usd_per_unit_minute": "NaN"}])
def test_an_invalid_price_is_named(tmp_path, units):
    path = tmp_path / "prices.json"
    table = {"as_of": "2026-11-27", "source": "x", "prices": [], "custom_model_units": units}
    path.write_text(json.dumps(table))

    with pytest.raises(ValueError, match=r"prices\.json: .*usd_per_unit_minute is "):
        pricing.load(path)


def test_an_imported_model_is_priced_by_units_and_never_by_tokens(tmp_path):
    price = pricing.load().price(identify(f"{ARN}imported-model/abc"))

    assert isinstance(price, UnitPrice)
    assert price.units_per_copy is None
    # Not zero, which an estimate would promise and a spend limit would believe.
    assert price.most(1, 1) is None
    assert price.answered(1, 1, 0) is None


def test_the_units_of_a_copy_can_be_set_in_the_table(tmp_path):
    path = tmp_path / "prices.json"
    units = {"usd_per_unit_minute": 0.05, "units_per_copy": {"llama3-2-11b": 4}}
    path.write_text(
        json.dumps(
            {"as_of": "2026-11-27", "source": "x", "prices": [], "custom_model_units": units}
        )
    )
    price = pricing.load(path).price(identify(f"{ARN}imported-model/abc"))

    assert isinstance(price, UnitPrice)
    assert price.window_cost == pytest.approx(1.0)
