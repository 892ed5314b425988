"""OpenAI's parameters that this model lacks: ignored ones and refused ones."""

from collections.abc import Mapping
from typing import Any

from app.api.unsupported_parameters import ForeignParameters

LOGPROBS = ("logprobs", "top_logprobs")
"""Log probability parameters, which only some models support."""
_STATELESS = "nothing is stored here: send the conversation whole"
_TOOLS = "the model takes no tools with pictures"
# Most programs that force a tool only want an answer in the tool's form.
_FORM = f"{_TOOLS}; for an answer in a given form, send a json_schema in"
_CHOICE = f"{_TOOLS}, so there are none to choose from"

REQUEST = ForeignParameters(
    harmless=frozenset(
        {
            "metadata",
            "parallel_tool_calls",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            # OpenAI does not promise the same answer for the same seed either.
            "seed",
            "service_tier",
            "store",
        }
    ),
    neutral={
        "audio": (),
        "frequency_penalty": (0, 0.0),
        "function_call": ("none",),
        "functions": ([],),
        "logit_bias": ({},),
        "logprobs": (False,),
        "modalities": (["text"],),
        "moderation": (),
        "prediction": (),
        "presence_penalty": (0, 0.0),
        "reasoning_effort": ("none",),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "top_logprobs": (0,),
        "verbosity": ("medium",),
        "web_search_options": (),
    },
    reasons={
        "function_call": _CHOICE,
        "functions": f"{_FORM} response_format",
        "tool_choice": _CHOICE,
        "tools": f"{_FORM} response_format",
    },
)

MESSAGE = ForeignParameters(
    harmless=frozenset(
        {
            # Members of an earlier answer by OpenAI or this service, sent back in the conversation.
            "annotations",
            "created_at",
            "id",
            "logprobs",
            "name",
            "object",
            "parsed",
            "phase",
            "reasoning_content",
            "refusal",
            "status",
            "usage",
            # Members that frameworks add to messages of any role.
            "additional_kwargs",
            "cache_control",
            "metadata",
            "providerMetadata",
            "providerOptions",
            "provider_options",
            "provider_specific_fields",
            "reasoning",
            "reasoning_details",
            "response_metadata",
            "thinking_blocks",
            "usage_metadata",
        }
    ),
    neutral={
        "audio": (),
        "function_call": (),
        "tool_call_id": (),
        "tool_calls": ([],),
        "type": ("message",),
    },
    reasons={"function_call": _TOOLS, "tool_call_id": _TOOLS, "tool_calls": _TOOLS},
)
"""Members of a message other than its role and content, in both of OpenAI's dialects."""

FORMAT = ForeignParameters(harmless=frozenset())
"""Members of a `response_format` without a schema other than its type."""

STREAM = ForeignParameters(harmless=frozenset({"include_obfuscation"}))

RESPONSES = ForeignParameters(
    harmless=frozenset(
        {
            "image",
            "max_tool_calls",
            "metadata",
            "parallel_tool_calls",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            # The answer is never stored, whatever the value.
            "store",
            # A conversation that is too long is refused rather than cut.
            "truncation",
        }
    ),
    neutral={
        "access_programs": (),
        "background": (False,),
        "background_options": (),
        "context_management": ([],),
        "conversation": (),
        "moderation": (),
        "previous_response_id": (),
        "prompt": (),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "top_logprobs": (0,),
    },
    reasons={
        "background": _STATELESS,
        "conversation": f"{_STATELESS}, in input",
        "previous_response_id": f"{_STATELESS}, in input",
        "prompt": "prompts are not kept here: send its text as instructions or in input",
        "tool_choice": _CHOICE,
        "tools": f"{_FORM} text.format",
    },
)

REASONING = ForeignParameters(
    # Without reasoning there is no summary.
    harmless=frozenset({"summary", "generate_summary"}),
    neutral={"effort": ("none",)},
)

TEXT = ForeignParameters(harmless=frozenset(), neutral={"verbosity": ("medium",)})

_OF_TOOLS = ("tools", "functions")


def without_unused_tools(extra: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return ``extra`` without tools that must not be used, and the names of what was removed."""
    if "none" not in (extra.get("tool_choice"), extra.get("function_call")):
        return dict(extra), ()
    unused = tuple(name for name in _OF_TOOLS if extra.get(name) is not None)
    return {name: value for name, value in extra.items() if name not in unused}, unused
