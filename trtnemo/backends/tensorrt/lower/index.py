"""plans.json: what an engine's plans were built for, by what, and a record of each."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from trtnemo.backends.tensorrt.lower.record import PlanRecord
from trtnemo.backends.tensorrt.lower.settings import Settings
from trtnemo.trt.element import Element
from trtnemo.trt.library import Flavor


class PlanIndex(BaseModel):
    """All plans of an engine.

    flavor, version: the TensorRT that built them, which alone loads them; compute_capability: the device they are for;
    host: processor architecture of the build; plain: stored element type of every unquantized parameter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flavor: Flavor
    version: str
    compute_capability: str
    host: str
    settings: Settings
    plain: dict[str, Element]
    plans: tuple[PlanRecord, ...]

    def find(self, name: str) -> PlanRecord:
        """Return a plan's record; raises KeyError."""
        return {record.name: record for record in self.plans}[name]
