"""What adapter_config.json says of a LoRA adapter: how its products are scaled, and what it was trained on.

Source: peft 0.21, tuners/lora/config.py and layer.py (scaling), utils/other.py (patterns match the end of a name).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
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
    peft_version: str | None = None
    base_model_name_or_path: str | None = None

    def rank(self, module: str) -> int:
        """Return the rank of a module, or of a parameter, by its name in the model that was trained."""
        return self.rank_pattern[key] if (key := _table(tuple(self.rank_pattern)).find(module)) else self.r

    def scale(self, module: str) -> float:
        """Return what the product of two matrices is multiplied with."""
        key = _table(tuple(self.alpha_pattern)).find(module)
        alpha, rank = self.lora_alpha if key is None else self.alpha_pattern[key], self.rank(module)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    @property
    def turns_experts(self) -> bool:
        """Whether matrices over all experts have inputs and outputs the other way round: peft did so until 0.19.0."""
        match = re.match(r"(\d+)\.(\d+)\.(\d+)", self.peft_version or "")
        return match is not None and tuple(map(int, match.groups())) < (0, 19, 1)


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
        _table(tuple(patterns), str(path))
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


@dataclass(frozen=True)
class PatternTable:
    """Keys that are matched against the end of a name, in their order; most are plain names, which are looked up."""

    plain: Mapping[str, int]
    patterns: tuple[tuple[int, str, re.Pattern[str]], ...]

    def find(self, name: str) -> str | None:
        """Return the first key that is the end of a name, from a dot on."""
        found: list[tuple[int, str]] = []
        rest = name
        while rest:
            if rest in self.plain:
                found.append((self.plain[rest], rest))
            rest = rest.partition(".")[2]
        found += [(place, key) for place, key, pattern in self.patterns if pattern.match(name)]
        return min(found)[1] if found else None


@lru_cache(maxsize=64)
def _table(keys: tuple[str, ...], where: str = CONFIG) -> PatternTable:
    plain = {key: place for place, key in enumerate(keys) if re.fullmatch(r"[\w.]+", key)}
    others = [(place, key) for place, key in enumerate(keys) if key not in plain]
    compiled = compile_patterns([rf"(?:.*\.)?(?:{key})$" for _, key in others], where)
    return PatternTable(plain, tuple((*one, pattern) for one, pattern in zip(others, compiled, strict=True)))
