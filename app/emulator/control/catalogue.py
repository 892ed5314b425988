"""The models that the emulator serves, under every name that Bedrock has for them."""

import re
from dataclasses import dataclass
from enum import StrEnum

from app.emulator.wire.errors import AwsError, invalid

UNKNOWN_MODEL = "The provided model identifier is invalid."


@dataclass(frozen=True, slots=True)
class FoundationModel:
    """A model as the control plane lists it."""

    id: str
    name: str
    regions: tuple[str, ...]

    @property
    def profile_id(self) -> str:
        """Return the id of the model's cross-region inference profile in the United States."""
        return f"us.{self.id}"


_UNITED_STATES = ("us-east-1", "us-east-2", "us-west-2")
MODELS = (
    FoundationModel(
        "meta.llama3-2-11b-instruct-v1:0", "Llama 3.2 11B Vision Instruct", _UNITED_STATES
    ),
    FoundationModel(
        "meta.llama3-2-90b-instruct-v1:0", "Llama 3.2 90B Vision Instruct", _UNITED_STATES
    ),
)
_BY_ID = {model.id: model for model in MODELS}


class Route(StrEnum):
    """The kind of name by which a model was called."""

    FOUNDATION = "foundation-model"
    PROFILE = "inference-profile"
    IMPORTED = "imported-model"
    PROVISIONED = "provisioned-model"


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed model id."""

    called: str
    """The id as it was sent."""
    name: str
    """The id without faults."""
    model: FoundationModel
    route: Route
    faults: tuple[str, ...] = ()

    @property
    def short_name(self) -> str:
        """The account and the id of an ARN, with a hyphen between: OpenAI's bodies repeat it."""
        return "-".join(self.name.replace("/", ":").split(":")[-3::2])


_FOUNDATION_ID = r"meta\.llama3-2-(?:11b|90b)-instruct-v1:0"
_ARN = r"arn:aws(?:-[a-z-]+)?:bedrock:[a-z0-9-]{1,20}"
_NAME = re.compile(
    rf"(?P<foundation>(?:{_ARN}::foundation-model/)?(?P<bare>{_FOUNDATION_ID}))"
    rf"|(?P<profile>(?:{_ARN}:\d{{12}}:inference-profile/)?us\.(?P<profiled>{_FOUNDATION_ID}))"
    rf"|(?P<application>{_ARN}:\d{{12}}:application-inference-profile/[a-z0-9-]+)"
    rf"|(?P<imported>{_ARN}:\d{{12}}:imported-model/[A-Za-z0-9-]+)"
    rf"|(?P<provisioned>{_ARN}:\d{{12}}:(?:provisioned-model|custom-model-deployment)/[a-z0-9-]+)"
)
_ROUTES = {
    "foundation": Route.FOUNDATION,
    "profile": Route.PROFILE,
    "application": Route.PROFILE,
    "imported": Route.IMPORTED,
    "provisioned": Route.PROVISIONED,
}


def resolve(model_id: str) -> Target:
    """Parse a model id or ARN: ``<name>[.<fault>]...``.

    Raises `AwsError` (400) for a name that no model has.
    """
    match = _NAME.match(model_id)
    rest = model_id[match.end() :] if match else model_id
    if match is None or (rest and not rest.startswith(".")):
        raise invalid(UNKNOWN_MODEL)
    foundation = match["bare"] or match["profiled"]
    return Target(
        called=model_id,
        name=match[0],
        model=_BY_ID[foundation] if foundation else MODELS[0],
        route=next(route for group, route in _ROUTES.items() if match[group]),
        faults=tuple(filter(None, rest.split("."))),
    )


def on_demand_refused(target: Target) -> AwsError:
    """Return Bedrock's error for a foundation-model id that needs an inference profile."""
    return invalid(
        f"Invocation of model ID {target.name} with on-demand throughput isn\u2019t"
        " supported. Retry your request with the ID or ARN of an inference "
        "profile that contains this model."
    )
