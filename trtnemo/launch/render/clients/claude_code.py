"""`render --as claude-code`: settings.json of Claude Code."""

from __future__ import annotations

import json

from trtnemo.launch.render.client_endpoint import ClientEndpoint
from trtnemo.launch.render.form import ClientForm
from trtnemo.recipe import AnyRecipe

# Every model that it chooses by itself: for small jobs, for subagents, and by the names of its sizes.
_MODELS = (
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
)


def render_claude_code(recipe: AnyRecipe, endpoint: ClientEndpoint) -> str:
    """Return settings.json for /v1/messages; its key is read from ANTHROPIC_AUTH_TOKEN when it starts.

    The attribution header is the first line of its prompt and changes with every one: no prefix could be reused.
    """
    content = {
        "apiKeyHelper": 'printf %s "${ANTHROPIC_AUTH_TOKEN:-EMPTY}"',
        "env": {
            "ANTHROPIC_BASE_URL": endpoint.base,
            **dict.fromkeys(_MODELS, endpoint.model),
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(endpoint.answer),
            "CLAUDE_CODE_AUTO_COMPACT_WINDOW": str(endpoint.context),
            "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


FORM = ClientForm(render_claude_code)
