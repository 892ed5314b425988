"""The files of a model to import, as published, without the weights' bytes."""

import json
from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["MllamaForConditionalGeneration"],
    "text_config": {"num_hidden_layers": 40, "max_position_embeddings": 131_071},
    "torch_dtype": "bfloat16",
    "transformers_version": "4.51.3",
}
INDEX = {
    "weight_map": {
        "a.weight": "model-00001-of-00002.safetensors",
        "b.weight": "model-00002-of-00002.safetensors",
    }
}


def model_files() -> dict[str, str]:
    """Return each file's text by its name."""
    return {
        "config.json": json.dumps(CONFIG),
        "model.safetensors.index.json": json.dumps(INDEX),
        "model-00001-of-00002.safetensors": "weights",
        "model-00002-of-00002.safetensors": "weights",
        "tokenizer.json": "{}",
        "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}),
        "preprocessor_config.json": "{}",
        "generation_config.json": "{}",
    }
