"""Which metrics are gated, and by how much each may get worse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from trtnemo.bench.load.summary import METRICS
from trtnemo.errors import UsageError
from trtnemo.recipe.nearest import suggestion
from trtnemo.validation import first_fault

Share = Annotated[float, Field(gt=0, lt=1)]


class GateFile(BaseModel):
    """Thresholds by metric, as shares: 0.1 is the smallest slowdown, 10 %, that must fail.

    alpha: how often no change at all may fail, over all metrics together; power: how often such a slowdown must.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: dict[str, Share] = Field(default_factory=lambda: {"output_tokens_per_second": 0.1}, min_length=1)
    alpha: Share = 0.01
    power: Share = 0.98

    @field_validator("metrics")
    @classmethod
    def _check_names(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in METRICS:
                raise ValueError(f"there is no metric '{name}'{suggestion(name, METRICS)}")
        return value

    @classmethod
    def load(cls, path: Path) -> GateFile:
        """Read a YAML file; raises UsageError."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except ValidationError as error:
            fault = first_fault(error)
            raise UsageError(f"{fault.key or 'the file'}: {fault.message}", where=str(path)) from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            detail = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise UsageError(f"cannot be read: {detail}", where=str(path)) from None
