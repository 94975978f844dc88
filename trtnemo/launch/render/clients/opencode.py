"""`render --as opencode`: opencode.json."""

from __future__ import annotations

import json
from typing import Any

from trtnemo.launch.render.client_endpoint import ClientEndpoint
from trtnemo.launch.render.form import ClientForm
from trtnemo.recipe import AnyRecipe

AGENT_TOKENS = 32_000


def render_opencode(recipe: AnyRecipe, endpoint: ClientEndpoint) -> str:
    """Return opencode.json, with the card's sampling.

    A model's key may hold no slash, and without `id` it is the name that opencode sends. It sends a temperature only
    for models that say they take one.
    """
    key = endpoint.model.replace("/", "-")
    agent = {
        "temperature": endpoint.sampling.temperature,
        "top_p": endpoint.sampling.top_p,
        "max_tokens": min(AGENT_TOKENS, endpoint.answer),
    }
    model = {
        "id": endpoint.model,
        "name": endpoint.model,
        "temperature": True,
        "limit": {"context": endpoint.context, "output": endpoint.answer},
    }
    content: dict[str, Any] = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"local/{key}",
        "provider": {
            "local": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "local_backend",
                "options": {"baseURL": f"{endpoint.base}/v1", "apiKey": ""},
                "models": {key: model},
            }
        },
        "agent": {"build": agent, "plan": dict(agent)},
    }
    return _with_key(json.dumps(content, indent=2, ensure_ascii=False)) + "\n"


def _with_key(text: str) -> str:
    """Return the file with the key's variable, the only one: opencode puts in what `{env:}` and `{file:}` name.

    It does so before it reads JSON, and anywhere: a recipe's name would send what it likes to the server.
    """
    for word in ("env:", "file:"):
        text = text.replace(f"{{{word}", f"\\u007b{word}")
    return text.replace('"apiKey": ""', '"apiKey": "{env:OPENAI_API_KEY}"')


FORM = ClientForm(render_opencode)
