"""Which model is called: its id in Bedrock's terms, and what is known of it as data."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Language(StrEnum):
    """The eight languages that Meta supports for text, by ISO 639-1 code."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"
    ITALIAN = "it"
    PORTUGUESE = "pt"
    HINDI = "hi"
    SPANISH = "es"
    THAI = "th"

    @property
    def label(self) -> str:
        """The language's English name: ``German``."""
        return self.name.capitalize()


class Dialect(StrEnum):
    """The Bedrock operation that carries the request."""

    INVOKE = "invoke"
    """InvokeModel with the native Llama body (``prompt``, ``images``)."""
    CONVERSE = "converse"
    """Converse: Bedrock renders the template. For imported models and successors."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What is known of one set of weights. Sources: Meta's model card, AWS's user guide."""

    key: str
    """Short name, used in settings."""
    name: str
    foundation_model_id: str
    inference_profile_id: str
    regions: tuple[str, ...]
    """Where the inference profile can be called from."""
    released: int
    """Unix seconds."""
    end_of_life: date | None
    """When Bedrock stops serving the foundation model; imported weights go on."""
    text_languages: tuple[Language, ...] = tuple(Language)
    image_languages: tuple[Language, ...] = (Language.ENGLISH,)
    context_window: int = 128_000
    """Tokens, input and output together."""
    max_gen_len: int = 2048
    """Tokens, the ceiling of InvokeModel."""
    max_images: int = 1
    """Images in one request."""
    max_image_side: int = 1120
    """Pixels."""
    max_image_bytes: int = 3_932_160
    """Bytes before base64 (3.75 MiB)."""


LLAMA_3_2_11B = BaseModel(
    key="llama3-2-11b",
    name="Llama 3.2 11B Vision Instruct",
    foundation_model_id="meta.llama3-2-11b-instruct-v1:0",
    inference_profile_id="us.meta.llama3-2-11b-instruct-v1:0",
    regions=("us-east-1", "us-east-2", "us-west-2"),
    released=1_727_222_400,  # 2024-09-25
    end_of_life=date(2026, 7, 7),
)
LLAMA_3_2_90B = BaseModel(
    key="llama3-2-90b",
    name="Llama 3.2 90B Vision Instruct",
    foundation_model_id="meta.llama3-2-90b-instruct-v1:0",
    inference_profile_id="us.meta.llama3-2-90b-instruct-v1:0",
    regions=("us-east-1", "us-east-2", "us-west-2"),
    released=1_727_222_400,  # 2024-09-25
    end_of_life=date(2026, 7, 7),
)
MODELS = (LLAMA_3_2_11B, LLAMA_3_2_90B)

# The id as printed on an older AWS page; the service itself never knew it.
ALIASES = {"meta.llama3-2-11b-instruct-v10": "meta.llama3-2-11b-instruct-v1:0"}


class ModelKind(StrEnum):
    """What the configured id names."""

    FOUNDATION_MODEL = "foundation-model"
    INFERENCE_PROFILE = "inference-profile"
    APPLICATION_INFERENCE_PROFILE = "application-inference-profile"
    IMPORTED_MODEL = "imported-model"
    PROVISIONED_MODEL = "provisioned-model"


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The configured model."""

    id: str
    """As sent to Bedrock."""
    kind: ModelKind
    base: BaseModel
    region: str | None = None
    """The region an ARN names."""
    alias: str | None = None
    """What was configured, where it was an alias of ``id``."""


_ARN = re.compile(
    r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]+):\d{0,12}:(?P<kind>[a-z-]+)/(?P<name>[\w.:-]+)"
)
_MODEL_ID = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+-v\d+(:\d+)?(:[a-z0-9]+)?")
_PROFILE_ID = re.compile(rf"[a-z]{{2,6}}(-[a-z]+)?\.{_MODEL_ID.pattern}")


def identify(configured: str, base_key: str | None = None) -> ModelIdentity:
    """Tell what ``configured`` names, or raise ValueError with what would be accepted.

    ``base_key`` says which weights stand behind an id that does not tell, such as the ARN
    of an imported model; without it those are taken for the 11B.
    """
    model_id = ALIASES.get(configured, configured)
    alias = configured if model_id != configured else None
    kind, name, region = _kind(model_id)
    return ModelIdentity(model_id, kind, _base(kind, name, base_key), region, alias)


def _kind(model_id: str) -> tuple[ModelKind, str, str | None]:
    if match := _ARN.fullmatch(model_id):
        if match["kind"] not in list(ModelKind):
            accepted = ", ".join(ModelKind)
            raise ValueError(f"an ARN of a {match['kind']} can't be invoked; accepted: {accepted}")
        return ModelKind(match["kind"]), match["name"], match["region"]
    if _PROFILE_ID.fullmatch(model_id):
        return ModelKind.INFERENCE_PROFILE, model_id, None
    if _MODEL_ID.fullmatch(model_id):
        return ModelKind.FOUNDATION_MODEL, model_id, None
    raise ValueError(
        f"{model_id!r} is neither a foundation-model id (meta.llama3-2-11b-instruct-v1:0), an "
        "inference-profile id (us.meta.llama3-2-11b-instruct-v1:0), nor the ARN of an inference "
        "profile, an imported model or provisioned throughput"
    )


def _base(kind: ModelKind, name: str, base_key: str | None) -> BaseModel:
    if base_key is not None:
        return next(model for model in MODELS if model.key == base_key)
    if kind not in (ModelKind.FOUNDATION_MODEL, ModelKind.INFERENCE_PROFILE):
        return LLAMA_3_2_11B
    for model in MODELS:
        # endswith: a profile's id is the model's id behind its geography.
        if name.split(":")[0].endswith(model.foundation_model_id.split(":")[0]):
            return model
    raise ValueError(
        f"nothing is known of {name!r}; say whose limits it has: {', '.join(m.key for m in MODELS)}"
    )
