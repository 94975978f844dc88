"""`render --as codex`: config.toml of the Codex command line."""

from __future__ import annotations

import json

from trtnemo.launch.render.client_endpoint import ClientEndpoint
from trtnemo.launch.render.form import ClientForm
from trtnemo.recipe import AnyRecipe


def render_codex(recipe: AnyRecipe, endpoint: ClientEndpoint) -> str:
    """Return config.toml for /v1/responses, the only API that Codex speaks; it never sends a longest answer.

    Tools that are no functions are turned off: the web search runs at OpenAI, those for subagents stand in a namespace.
    """
    return f"""\
# ~/.codex/config.toml. Codex asks for a key: export OPENAI_API_KEY=EMPTY where the server has none.
model = {_text(endpoint.model)}
model_provider = "local"
model_context_window = {endpoint.context}
model_auto_compact_token_limit = {endpoint.context - endpoint.answer}
web_search = "disabled"

[agents]
enabled = false

[model_providers.local]
name = "local_backend"
base_url = {_text(f"{endpoint.base}/v1")}
env_key = "OPENAI_API_KEY"
wire_api = "responses"
"""


def _text(text: str) -> str:
    """Return a string of TOML: JSON's but for the one character more that it wants written out."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


FORM = ClientForm(render_codex)
