"""What adapter_config.json says of a LoRA adapter: how its products are scaled, and what it was trained on.

Source: peft 0.21, tuners/lora/config.py and layer.py (scaling), utils/other.py (patterns match the end of a name).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trtnemo.checkpoint.family.module_name import compile_patterns
from trtnemo.errors import CheckpointError
from trtnemo.files.json_file import read_json_object
from trtnemo.validation import first_fault

CONFIG = "adapter_config.json"
Rank = Annotated[int, Field(gt=0, le=1 << 20)]
# what changes how weights are merged and is not built here
_OTHER_FORMS = ("alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "monteclora_config",
                "trainable_token_indices", "use_bdlora", "use_qalora", "velora_config")  # fmt: skip
# beginnings that change the base weights as well: their adapter belongs to a residual, not to the base
_CHANGE_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


class AdapterSettings(BaseModel):
    """The keys that decide what is merged; the others say how it was trained."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    peft_type: str
    r: Rank
    lora_alpha: Annotated[float, Field(allow_inf_nan=False)]
    rank_pattern: dict[str, Rank] = {}
    alpha_pattern: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}
    use_rslora: bool = False
    use_dora: bool = False
    fan_in_fan_out: bool = False
    target_parameters: tuple[str, ...] = ()
    base_model_name_or_path: str | None = None

    def rank(self, module: str) -> int:
        """Return the rank of a module, by its name in the model that was trained."""
        return self.rank_pattern[key] if (key := _key_of(self.rank_pattern, module)) else self.r

    def scale(self, module: str) -> float:
        """Return what the product of a module's two matrices is multiplied with."""
        alpha = self.alpha_pattern[key] if (key := _key_of(self.alpha_pattern, module)) else self.lora_alpha
        rank = self.rank(module)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


def read_settings(directory: Path) -> AdapterSettings:
    """Return an adapter's settings; raises CheckpointError for what is no LoRA, or one of a form not built here."""
    path = directory / CONFIG
    if not path.is_file():
        raise CheckpointError(f"has no {CONFIG}", where=str(directory), remedy="Give the directory that PEFT saved")
    content = {key: value for key, value in read_json_object(path).items() if value is not None}
    kind = content.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(f"peft_type is {kind!r}, and LORA alone is merged", where=str(path))
    _refuse_other_forms(content, path)
    try:
        settings = AdapterSettings.model_validate(content)
    except ValidationError as error:
        fault = first_fault(error)
        raise CheckpointError(f"'{fault.key}' {fault.message}", where=str(path)) from None
    for patterns in (settings.rank_pattern, settings.alpha_pattern):
        _compiled(patterns, str(path))
    return settings


def _refuse_other_forms(content: Mapping[str, Any], path: Path) -> None:
    for key in _OTHER_FORMS:
        if content.get(key):
            raise CheckpointError(f"{key} is set, which is not merged here", where=str(path),
                                  remedy="Merge it with PEFT")  # fmt: skip
    if content.get("fan_in_fan_out"):
        raise CheckpointError("fan_in_fan_out is for layers that no network of this family has", where=str(path))
    begun = content.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(_CHANGE_THE_BASE):
        raise CheckpointError(
            f"init_lora_weights is {begun!r}, which changed the base weights too: on the base, this adapter is wrong",
            where=str(path),
            remedy="Save it with PEFT's path_initial_model_for_weight_conversion, which makes a plain LoRA of it",
        )


def _compiled(patterns: Mapping[str, Any], where: str = CONFIG) -> dict[str, Any]:
    texts = [rf"(?:.*\.)?(?:{key})$" for key in patterns]
    return dict(zip(patterns, compile_patterns(texts, where), strict=True))


def _key_of(patterns: Mapping[str, Any], module: str) -> str | None:
    """Return the first key that is the end of a module's name."""
    return next((key for key, pattern in _compiled(patterns).items() if pattern.match(module)), None)
