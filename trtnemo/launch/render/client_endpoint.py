"""A server as its clients see it: address, model name, and how many tokens fit."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.errors import RecipeError
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.issue import trained_positions
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe import AnyRecipe, CpuRecipe
from trtnemo.recipe.shared import Sampling

# The card's for long contexts. Agents reserve their longest answer: what they are told must leave room for a prompt.
_LONGEST_ANSWER = 32_768
_SHARE_OF_ANSWER = 4
_EVERYWHERE = (None, "", "0.0.0.0", "::")  # noqa: S104


@dataclass(frozen=True)
class ClientEndpoint:
    """Where a server answers, seen from its own machine; `context` and `answer` are tokens."""

    base: str
    model: str
    context: int
    sampling: Sampling

    @property
    def answer(self) -> int:
        """The longest answer that a client may ask for, so that a prompt fits beside it."""
        return min(_LONGEST_ANSWER, max(1, self.context // _SHARE_OF_ANSWER))


def client_endpoint(recipe: AnyRecipe, invocation: Invocation | None) -> ClientEndpoint:
    """Return the endpoint of a recipe, `invocation` being None for a runtime of ours; raises RecipeError."""
    if invocation is None:
        host, port, context = recipe.server.host, recipe.server.port, _held_by_us(recipe)
    else:
        host, port, context = invocation.option("--host"), invocation.port, _held(recipe, invocation)
    if port == 0:
        raise RecipeError(
            "'server.port' 0 lets the system choose: no client can be told", where="the recipe", remedy="Give a port"
        )
    scheme = "https" if getattr(recipe.server, "tls_certificate", None) else "http"
    if getattr(recipe.server, "unix_socket", None):
        raise RecipeError(
            "'server.unix_socket' has no address that a client could be told",
            where="the recipe",
            remedy="Give a host and a port, or name those of the proxy before it",
        )
    return ClientEndpoint(f"{scheme}://{_address(host)}:{port}", served_name(recipe), context, recipe.sampling)


def served_name(recipe: AnyRecipe) -> str:
    """Return the name that clients use."""
    return recipe.served_model_names[0] if recipe.served_model_names else recipe.checkpoint


def _address(host: object) -> str:
    """Return the address to ask; IPv6 stands in brackets."""
    if host in _EVERYWHERE:
        return "localhost"
    return f"[{host}]" if ":" in str(host) else str(host)


def _held_by_us(recipe: AnyRecipe) -> int:
    """Return the longest sequence that our own server takes: no longer than its whole KV cache."""
    whole = recipe.cpu.kv_tokens if isinstance(recipe, CpuRecipe) else None
    return min(recipe.limits.max_seq_len, whole or recipe.limits.max_seq_len)


def _held(recipe: AnyRecipe, invocation: Invocation) -> int:
    """Return the longest sequence that an external server takes: as it is told, else what the model was trained on."""
    option = find_server(recipe.runtime).neutral.get("limits.max_seq_len", "")
    in_file = (invocation.llm_args or {}).get(option.lstrip("-").replace("-", "_"))
    told = [value for value in (invocation.option(option), in_file) if isinstance(value, int)]
    return min(told) if told else trained_positions(invocation.model) or recipe.limits.max_seq_len
