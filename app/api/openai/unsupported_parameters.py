"""OpenAI's parameters that this model has not: which are harmless, and which are refused."""

from app.api.unsupported_parameters import Foreign

LOGPROBS = ("logprobs", "top_logprobs")
"""Parameters that only some models have."""

REQUEST = Foreign(
    harmless=frozenset(
        {
            "metadata",
            "parallel_tool_calls",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            # A wish by OpenAI's own words: the same answer is not promised there either.
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
)

ASSISTANT = Foreign(
    # Fields of an answer of OpenAI or of this service, sent back in the conversation.
    harmless=frozenset({"annotations", "name", "refusal", "reasoning_content"}),
    neutral={"audio": (), "function_call": (), "tool_calls": ([],)},
)

STREAM = Foreign(harmless=frozenset({"include_obfuscation"}))
