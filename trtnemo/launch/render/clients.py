"""`render --as opencode` and `--as evaluator`: what clients of the server are configured with."""

from __future__ import annotations

import json
from typing import Any

import yaml

from trtnemo.checkpoint.family.card import Suite, card_suites
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.recipe import AnyRecipe

OUTPUT_TOKENS = 32_768
AGENT_TOKENS = 32_000
EVALUATION_TOKENS = 131_072


def render_opencode(recipe: AnyRecipe, invocation: Invocation) -> str:
    """Return opencode.json for an endpoint on this machine, with the card's sampling."""
    name = served_name(recipe)
    key = name.replace("/", "-")
    agent = {"temperature": recipe.sampling.temperature, "top_p": recipe.sampling.top_p, "max_tokens": AGENT_TOKENS}
    content: dict[str, Any] = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"local/{key}",
        "provider": {
            "local": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "local_backend",
                "options": {"baseURL": f"{base_url(invocation)}/v1", "apiKey": "EMPTY"},
                "models": {key: {"name": name, "limit": {"context": context_length(recipe), "output": OUTPUT_TOKENS}}},
            }
        },
        "agent": {"build": agent, "plan": dict(agent)},
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def render_evaluator(recipe: AnyRecipe, invocation: Invocation) -> str:
    """Return NeMo Evaluator's launcher file for the card's suites against this endpoint; keys are named, never given.

    Source: NVIDIA-NeMo/Evaluator, the launcher's examples for Nemotron-3 Super.
    """
    params = {
        "parallelism": 1,
        "max_new_tokens": EVALUATION_TOKENS,
        "temperature": recipe.sampling.temperature,
        "top_p": recipe.sampling.top_p,
        "request_timeout": 3600,
        "max_retries": 10,
        "extra": {"tokenizer_backend": "huggingface", "tokenizer": recipe.checkpoint},
    }
    thinking = {"chat_template_kwargs": {"enable_thinking": True}, "skip_special_tokens": False}
    content = {
        "defaults": [{"execution": "local"}, {"deployment": "none"}, "_self_"],
        "execution": {"output_dir": "./results"},
        "target": {
            "api_endpoint": {
                "model_id": served_name(recipe),
                "url": f"{base_url(invocation)}/v1/chat/completions",
                "api_key_name": "API_KEY",
            }
        },
        "evaluation": {
            "env_vars": {"HF_TOKEN": "host:HF_TOKEN"},
            "nemo_evaluator_config": {
                "config": {"params": params},
                "target": {"api_endpoint": {"adapter_config": {"params_to_add": thinking}}},
            },
            "tasks": [_task(suite) for suite in card_suites() if suite.task is not None],
        },
    }
    text: str = yaml.safe_dump(content, sort_keys=False, width=120)
    missing = ", ".join(suite.name for suite in card_suites() if suite.task is None)
    judged = ", ".join(str(suite.task) for suite in card_suites() if suite.judge)
    return (
        f"# The card's suites but for {missing}, which run in containers of their own.\n"
        f"# These ask a judge or a simulated user, whose endpoint you give under extra: {judged}\n{text}"
    )


def _task(suite: Suite) -> dict[str, Any]:
    if not suite.extra:
        return {"name": suite.task}
    return {"name": suite.task, "nemo_evaluator_config": {"config": {"params": {"extra": dict(suite.extra)}}}}


def served_name(recipe: AnyRecipe) -> str:
    """Return the name that clients use."""
    return recipe.served_model_names[0] if recipe.served_model_names else recipe.checkpoint


def base_url(invocation: Invocation) -> str:
    """Return where the server answers, seen from this machine."""
    return f"http://localhost:{invocation.port}"


def context_length(recipe: AnyRecipe) -> int:
    """Return the longest sequence that the server takes."""
    return recipe.limits.max_seq_len
