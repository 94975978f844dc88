"""What all endpoints of one server share."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.errors import ModelNotFoundError
from trtnemo.formats.format import ReasoningFormat, ToolFormat
from trtnemo.recipe.shared import Sampling
from trtnemo.runtime import EngineClient
from trtnemo.server.admission import Admission
from trtnemo.server.metrics import ServerMetrics
from trtnemo.text import ChatTemplate, TextTokenizer


@dataclass(frozen=True)
class ServerContext:
    """The engine's client, its text side, the names it answers to, and its counters.

    `chat_template` is None for a checkpoint without one; chat is refused then. `reasoning` and `tools` are the formats
    that the recipe chose, None where output stays as it is; `identity` names recipe and engine for whoever keeps a
    record.
    """

    client: EngineClient
    admission: Admission
    tokenizer: TextTokenizer
    chat_template: ChatTemplate | None
    model_names: tuple[str, ...]
    sampling: Sampling
    reasoning: ReasoningFormat | None
    tools: ToolFormat | None
    metrics: ServerMetrics
    started: int
    identity: dict[str, str]

    def check_model(self, name: str | None) -> str:
        """Return the model's name as asked for; raises ModelNotFoundError."""
        if name is None:
            return self.model_names[0]
        if name not in self.model_names:
            raise ModelNotFoundError(
                f"the model '{name}' does not exist; this server has {', '.join(self.model_names)}", parameter="model"
            )
        return name
