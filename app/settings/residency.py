"""The regions where data may be processed and kept."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.settings.types import Region, Regions, Seconds, split


def _lists(value: object) -> object:
    if isinstance(value, dict):
        return {name: split(regions) for name, regions in value.items()}
    return value


class ResidencySettings(BaseModel):
    """The regions where data may be processed and kept."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    residency: Annotated[
        Regions,
        Field(
            description="AWS regions where data may be processed and kept, comma separated: "
            "`us-east-1,us-west-2`. Unset: any. docs/residency.md says what is "
            "checked."
        ),
    ] = ()
    residency_mode: Annotated[
        Literal["enforce", "report"],
        Field(
            description="`enforce`: a hop outside these regions prevents the start, a hop that "
            "moves outside later is no longer used, and a hop of unknown region counts as "
            "outside. `report`: hops outside are only reported."
        ),
    ] = "enforce"
    residency_declared: Annotated[
        dict[str, tuple[Region, ...]],
        BeforeValidator(_lists),
        Field(
            description="Regions of hops that AWS can't be asked about, as JSON by the hop's "
            'name: `{"store redis": "us-west-2", "telemetry otlp": ["us-east-1"]}`. '
            "`GET /v1/residency` lists the names."
        ),
    ] = {}
    residency_interval: Annotated[
        Seconds, Field(description="Seconds between checks of every hop's region.")
    ] = 3600
