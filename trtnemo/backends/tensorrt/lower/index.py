"""plans.json: what an engine's plans were built for, by what, and a record of each."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from trtnemo.backends.tensorrt.lower.blocks import Block
from trtnemo.backends.tensorrt.lower.record import PlanRecord
from trtnemo.backends.tensorrt.lower.settings import Phase, Settings
from trtnemo.trt.element import Element
from trtnemo.trt.library import Flavor

# the blocks of each graph, by its name, in each phase, in the order they run
Programs = dict[str, dict[Phase, tuple[Block, ...]]]


class PlanIndex(BaseModel):
    """All plans of an engine.

    flavor, version: the TensorRT that built them, which alone loads them; compute_capability: the device they are for;
    host: processor architecture of the build; plain: stored element type of every unquantized parameter;
    programs: which plan runs which nodes, so that a later trtnemo runs what this one built. Engines of 0.1.0 have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flavor: Flavor
    version: str
    compute_capability: str
    host: str
    settings: Settings
    plain: dict[str, Element]
    plans: tuple[PlanRecord, ...]
    programs: Programs = {}

    def summary(self) -> dict[str, Any]:
        """Return what commands print as JSON: all but what only a build and a load need."""
        return self.model_dump(mode="json", exclude={"programs": True, "plans": {"__all__": {"built_from", "sha256"}}})

    def find(self, name: str) -> PlanRecord:
        """Return a plan's record; raises KeyError."""
        return {record.name: record for record in self.plans}[name]
