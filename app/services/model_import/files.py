"""Checks a model's files against the requirements of Amazon Bedrock's Custom Model Import.

Source: AWS user guide, `model-customization-import-model` and `custom-chat-templates-tokenizers`,
2026-11. A requirement that AWS does not state for Llama 3.2 Vision is a warning that says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.finding import Finding, fault, ok, warning
from app.domain.model import LLAMA_3_2_11B, LLAMA_3_2_90B, BaseModel

ARCHITECTURE = "MllamaForConditionalGeneration"
GIB = 1024**3
MAX_BYTES = 100 * 10**9
"""AWS's maximum total size in bytes for multimodal models."""
MAX_CONTEXT = 131_072
"""The context length in tokens that AWS requires a model to stay below."""
TRANSFORMERS = "4.51.3"
"""The version of transformers that AWS documents."""
DTYPES = ("bfloat16", "float16", "float32")
REGIONS = ("us-east-1", "us-east-2", "us-west-2", "eu-central-1")
"""Regions that offer Custom Model Import."""
LAYERS: Mapping[int, BaseModel] = {40: LLAMA_3_2_11B, 100: LLAMA_3_2_90B}
"""The two sizes of Llama 3.2 Vision by their number of text layers."""
LEAST_BYTES: Mapping[str, int] = {LLAMA_3_2_11B.key: 20 * 10**9, LLAMA_3_2_90B.key: 170 * 10**9}
"""Minimum bytes of 16-bit weights; fewer mean that files are missing."""

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
INDEX = "model.safetensors.index.json"
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")
DOCUMENTS = (CONFIG, TOKENIZER_CONFIG, INDEX, *TEMPLATE_FILES)
"""Files whose contents are read; the others are checked by name and size only."""
_NEEDED = {
    TOKENIZER_CONFIG: "without it Bedrock has no special tokens",
    "tokenizer.json": "without it Bedrock can't split text into tokens",
    "preprocessor_config.json": "without it the model sees no pictures",
    "generation_config.json": "without it answers may not end",
}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files under an S3 prefix."""

    sizes: Mapping[str, int]
    """File names relative to the prefix, and their bytes."""
    documents: Mapping[str, Any] = field(default_factory=dict)
    """Contents of the `DOCUMENTS` that exist: parsed JSON, text, or None if unreadable."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Return the model's configuration, empty if it is missing or unreadable."""
        return _mapping(self.documents.get(CONFIG))

    @property
    def weights(self) -> tuple[str, ...]:
        """Return the names of the safetensors files."""
        return tuple(sorted(name for name in self.sizes if name.endswith(".safetensors")))

    @property
    def base(self) -> BaseModel | None:
        """Return the base model of these weights, or None if the configuration fits neither."""
        layers = _mapping(self.config.get("text_config")).get("num_hidden_layers")
        return LAYERS.get(layers) if isinstance(layers, int) else None


def check(files: ModelFiles) -> tuple[Finding, ...]:
    """Return a finding for each requirement of Custom Model Import."""
    if not files.sizes:
        return (fault("files", "there are none under this prefix", "Check bucket and prefix."),)
    return (
        *_config(files),
        *_weights(files),
        *_needed(files),
        _template(files),
        _size(files),
        *_numbers(files),
    )


def _config(files: ModelFiles) -> Iterator[Finding]:
    if CONFIG not in files.sizes:
        yield fault(CONFIG, "is missing", "Copy it from the model's repository on its hub.")
        return
    if not files.config:
        yield fault(CONFIG, "is not a JSON object", "Copy it again; it may be a pointer file.")
        return
    architectures = files.config.get("architectures")
    if architectures != [ARCHITECTURE]:
        yield fault(
            CONFIG,
            f"says architectures {architectures!r}, not {ARCHITECTURE}",
            "Import Llama 3.2 Vision in the Hugging Face layout; other models see no pictures.",
        )
        return
    base = files.base
    if base is None:
        yield warning(CONFIG, "is of neither the 11B nor the 90B model", "Check its text_config.")
        return
    yield ok(CONFIG, f"is of {base.name}")


def _weights(files: ModelFiles) -> Iterator[Finding]:
    if not files.weights:
        yield fault(
            "weights", "there is no .safetensors file", "Convert the weights to safetensors."
        )
        return
    if INDEX in files.sizes:
        index = _mapping(_mapping(files.documents.get(INDEX)).get("weight_map"))
        missing = sorted({str(name) for name in index.values()} - files.sizes.keys())
        if not index:
            yield fault(INDEX, "names no weights", "Copy it again.")
        elif missing:
            yield fault("weights", f"missing: {', '.join(missing)}", "Upload these files.")
        else:
            yield ok("weights", f"all {len(set(index.values()))} files of {INDEX} are there")
    elif len(files.weights) > 1:
        yield fault(INDEX, "is missing beside several weight files", "Upload it.")
    else:
        yield ok("weights", files.weights[0])


def _needed(files: ModelFiles) -> Iterator[Finding]:
    for name, reason in _NEEDED.items():
        if name not in files.sizes:
            yield fault(name, f"is missing: {reason}", "Copy it from the model's repository.")
        elif name in DOCUMENTS and not _mapping(files.documents.get(name)):
            yield fault(name, "is not a JSON object", "Copy it again.")
        else:
            yield ok(name, "is there")


def _template(files: ModelFiles) -> Finding:
    templates = {name: text for name, text in _templates(files) if text}
    if not templates:
        return fault(
            "chat template",
            "there is none, and Bedrock applies none by itself",
            f"Add {TEMPLATE_FILES[0]}, or a chat_template in {TOKENIZER_CONFIG}.",
        )
    if len(set(templates.values())) > 1:
        return fault(
            "chat template",
            f"there are several that differ: {', '.join(templates)}",
            "Keep one of them; Bedrock takes a separate file before the field.",
        )
    if len(templates) > 1:
        return warning(
            "chat template", f"stands twice, the same: {', '.join(templates)}", "Keep one of them."
        )
    return ok("chat template", f"in {next(iter(templates))}")


def _templates(files: ModelFiles) -> Iterator[tuple[str, str]]:
    for name in TEMPLATE_FILES:
        if name in files.sizes:
            document = files.documents.get(name)
            text = _mapping(document).get("chat_template") if name.endswith(".json") else document
            yield name, str(text or "")
    own = _mapping(files.documents.get(TOKENIZER_CONFIG)).get("chat_template")
    yield TOKENIZER_CONFIG, str(own or "")


def _size(files: ModelFiles) -> Finding:
    total = sum(files.sizes.values())
    weights = sum(files.sizes[name] for name in files.weights)
    shown = f"{total / GIB:,.1f} GiB in {len(files.sizes)} files"
    if total >= MAX_BYTES:
        return fault(
            "size",
            f"{shown}; Bedrock takes less than {MAX_BYTES / GIB:,.1f} GiB",
            "Remove files that are not needed, such as original/*.pth.",
        )
    least = LEAST_BYTES[files.base.key] if files.base else 0
    if files.weights and weights < least:
        return warning(
            "size",
            f"{shown}; the weights of {files.base.name if files.base else ''} in 16 bits take at "
            f"least {least / GIB:,.1f} GiB",
            "Check that no file was cut off while it was copied.",
        )
    return ok("size", shown)


def _numbers(files: ModelFiles) -> Iterator[Finding]:
    config, text = files.config, _mapping(files.config.get("text_config"))
    if not config:
        return
    dtype = config.get("torch_dtype") or config.get("dtype") or text.get("torch_dtype")
    if config.get("quantization_config"):
        yield fault("dtype", "the weights are quantised", "Import them unquantised.")
    elif dtype not in DTYPES:
        yield warning("dtype", f"is {dtype!r}", f"Bedrock takes {', '.join(DTYPES)}.")
    else:
        yield ok("dtype", str(dtype))
    context = text.get("max_position_embeddings")
    if isinstance(context, int) and context >= MAX_CONTEXT:
        yield warning(
            "context",
            f"max_position_embeddings is {context}; AWS's page asks for less than {MAX_CONTEXT}. "
            "Whether that holds for this model is not confirmed",
            f"If the job is refused for it, write {MAX_CONTEXT - 1} into {CONFIG}.",
        )
    else:
        yield ok("context", f"max_position_embeddings is {context}")
    version = config.get("transformers_version")
    if version is not None and version != TRANSFORMERS:
        yield warning(
            "transformers", f"{CONFIG} was written by {version}; AWS names {TRANSFORMERS}", ""
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
