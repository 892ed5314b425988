"""Metrics, prices, traces and logs."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

from app.settings.types import is_installed, split

_NAMESPACE = re.compile(r"(?!AWS/|:| *$)[A-Za-z0-9._/#: -]{1,255}")
Dimension = Literal["Service", "Model", "Task", "Caller", "Route"]


class TelemetrySettings(BaseModel):
    """Metrics, prices, traces and logs."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    prices_file: Annotated[
        Path | None,
        Field(
            description="JSON file that replaces the service's own price table; see "
            "docs/metrics.md."
        ),
    ] = None
    traces: Annotated[
        bool,
        Field(
            description="Send traces by OTLP over HTTP, configured by OpenTelemetry's own "
            "`OTEL_*` variables. Needs the extra `otel`."
        ),
    ] = False
    otlp_metrics: Annotated[
        bool,
        Field(
            description="Send the metrics of `/metrics` by OTLP over HTTP too, configured by "
            "OpenTelemetry's own `OTEL_*` variables. Needs the extra `otel`."
        ),
    ] = False
    emf_namespace: Annotated[
        str | None,
        Field(
            description="CloudWatch namespace. If set, a line in embedded metric format is "
            "written for each request that calls the model, and one about the process every 30 "
            "s."
        ),
    ] = None
    emf_dimensions: Annotated[
        tuple[Dimension, ...],
        NoDecode,
        BeforeValidator(split),
        Field(
            min_length=1,
            description="Dimensions of these metrics, comma separated: "
            f"{', '.join(f'`{name}`' for name in get_args(Dimension))}.",
        ),
    ] = ("Service", "Model")

    @model_validator(mode="after")
    def _check_emf(self) -> Self:
        if self.emf_namespace is not None and not _NAMESPACE.fullmatch(self.emf_namespace):
            raise ValueError(
                "emf_namespace: CloudWatch takes 255 letters, digits, spaces and . - _ / # : at "
                "most, AWS/ and : not at the beginning, and drops what it does not take"
            )
        if len(set(self.emf_dimensions)) < len(self.emf_dimensions):
            raise ValueError("emf_dimensions: names one twice")
        return self

    @model_validator(mode="after")
    def _check_exporter(self) -> Self:
        for name in ("traces", "otlp_metrics"):
            if getattr(self, name) and not is_installed("opentelemetry.exporter"):
                raise ValueError(
                    f"{name}: needs opentelemetry-exporter-otlp-proto-http, which is not installed"
                )
        return self
