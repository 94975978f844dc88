"""Parameters that change no answer: hints to a provider's accounts and caches, and values that are defaults."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from trtnemo.errors import RequestError

# Parameters of the APIs that do nothing at these values; anything else is refused until it is built.
NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "suffix": ("",),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "use_beam_search": (False,),
    "length_penalty": (1, 1.0),
    "early_stopping": (False,),
    "best_of": (1,),
    "include_reasoning": (True,),
    "separate_reasoning": (True,),
    "stream_reasoning": (True,),
    "no_stop_trim": (False,),
    "return_hidden_states": (False,),
    "add_special_tokens": (False,),
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
    "echo": (False,),
    "spaces_between_special_tokens": (True,),
    "return_tokens_as_token_ids": (False,),
    "return_token_ids": (False,),
    "documents": ([],),
    "mm_processor_kwargs": ({},),
    "logprob_token_ids": ([],),
    "priority": (0,),
}
# What no answer changes by, whatever it says: a provider's accounts, caches and tiers, and how a stream is padded.
HINTS = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "prediction",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "verbosity",
        "request_id",
        "session_id",
        "stream_interval",
        "client_metadata",
    }
)


def drop_neutral(body: Any, known: Collection[str] = ()) -> Any:
    """Return a body without nulls and parameters that do nothing; raises RequestError for those that would.

    `known` are the endpoint's own.
    """
    if not isinstance(body, dict):
        raise RequestError("the body is not a JSON object")
    given = {name: value for name, value in body.items() if value is not None}
    unbuilt = {name: values for name, values in NEUTRAL_VALUES.items() if name not in known}
    for name, neutral in unbuilt.items():
        if name in given and not any(given[name] == value and type(given[name]) is type(value) for value in neutral):
            raise RequestError(f"'{name}' is not supported at this value", parameter=name)
    return {name: value for name, value in given.items() if name in known or name not in unbuilt.keys() | HINTS}
