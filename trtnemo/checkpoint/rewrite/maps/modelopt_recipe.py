"""The map that a recipe of ModelOpt means: rules are tried in order, and the last one that fits a quantizer counts."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.module_name import DRAFT, EMBEDDING, HEAD, spellings
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.checkpoint.format.encoder import Search
from trtnemo.checkpoint.rewrite.maps.patterns import linear_names
from trtnemo.checkpoint.rewrite.maps.recipe_file import RecipeFile
from trtnemo.errors import UsageError

_E4M3, _E2M1 = ("e4m3", (4, 3), [4, 3]), ("e2m1", (2, 1), [2, 1])
_KEYS = {"quantizer_name", "parent_class", "enable", "cfg"}


def map_of_recipe(config: ModelConfig, path: Path) -> tuple[QuantizationMap, Search]:
    """Return the map that a recipe of ModelOpt means for a network, and how it has scales of blocks chosen.

    Raises UsageError for what is not built here.
    """
    file = RecipeFile(path)
    rules = [_Rule(entry, str(path)) for entry in file.rules()]
    search = _search(file.algorithm, rules, path)
    # ModelOpt never sees the MTP head, which transformers drops
    names = [EMBEDDING, *(name for name in linear_names(config) if not name.startswith(DRAFT))]
    layers = {name: _format(rules, name) for name in names}
    layers = {name: chosen for name, chosen in layers.items() if chosen is not WeightFormat.PLAIN}
    if not layers:
        raise UsageError("none of its rules fits a linear layer of this network", where=str(path))
    keeps_fp8 = any(rule.format is WeightFormat.FP8 for rule in rules if "bmm_quantizer" in rule.pattern)
    return QuantizationMap(layers=layers, fp8_kv_cache=keeps_fp8, source=str(path)), search


def _search(algorithm: dict[str, Any], rules: list[_Rule], path: Path) -> Search:
    """Return how scales of NVFP4 blocks are chosen; of FP8 weights, the largest magnitude is all that is built."""
    method, sweeps = algorithm.get("method"), bool(algorithm.get("fp8_scale_sweep"))
    multipliers = tuple(algorithm.get(name) for name in ("start_multiplier", "stop_multiplier", "step_size"))
    may_be_four = {rule.is_four_over_six for rule in rules if rule.is_static_nvfp4}
    if method in (None, "max") and True not in may_be_four:
        return "max"
    if method == "mse" and may_be_four == {False} and sweeps:
        return "mse"
    if method == "mse" and may_be_four == {True} and not sweeps and multipliers == (1.0, 1.5, 0.5):
        return "four-over-six"
    said = ", ".join(sorted(str(name) for name in algorithm.keys() - {"method"})) or "nothing else"
    raise UsageError(
        f"its algorithm is {method!r} with {said}; built are max, mse with fp8_scale_sweep, and four-over-six by mse "
        "between 1.0 and 1.5",
        where=str(path),
        remedy="Change `algorithm` in a copy of the file, or quantize with ModelOpt",
    )


class _Rule:
    """One entry of `quant_cfg`: the quantizers that it is for, and the format that it gives them, or none."""

    def __init__(self, entry: dict[str, Any], where: str) -> None:
        strange = sorted(entry.keys() - _KEYS)
        if strange:
            raise UsageError(f"the rule for {entry['quantizer_name']} has {strange[0]!r}, which is not read here",
                             where=where)  # fmt: skip
        self.pattern = str(entry["quantizer_name"])
        self._parent = entry.get("parent_class")
        self._cfg, self._where = entry["cfg"], f"{where}: {self.pattern}"
        self._enables = entry.get("enable", True) is not False

    @property
    def format(self) -> WeightFormat | None:
        """The format that it gives, nothing where it takes one away; raises UsageError for numbers not written here."""
        return _numerics(self._cfg, self._where) if self._enables else None

    @property
    def is_static_nvfp4(self) -> bool:
        """Whether it gives NVFP4 whose scales of blocks are stored: those of weights, where they are searched."""
        return self.format is WeightFormat.NVFP4 and self._blocks.get("type") == "static"

    @property
    def is_four_over_six(self) -> bool:
        """Whether the largest number of a block may become 4 in the place of 6."""
        return bool(self._blocks.get("four_over_six"))

    @property
    def _blocks(self) -> dict[Any, Any]:
        found = self._cfg.get("block_sizes") if isinstance(self._cfg, dict) else None
        return found if isinstance(found, dict) else {}

    def fits(self, module: str, quantizer: str) -> bool:
        """Return whether it is for a quantizer of a module."""
        kind = "nn.Embedding" if module == EMBEDDING else "nn.Linear"
        if self._parent not in (None, kind):
            return False
        return any(fnmatch.fnmatchcase(f"{name}.{quantizer}", self.pattern) for name in spellings(module))


def _format(rules: list[_Rule], module: str) -> WeightFormat:
    weight, inputs = (_last(rules, module, quantizer) for quantizer in ("weight_quantizer", "input_quantizer"))
    if weight is WeightFormat.FP8 and inputs is None and module != HEAD:
        raise UsageError(f"{module} would be FP8 with inputs that are not, which is written for {HEAD} alone")
    if weight is WeightFormat.NVFP4 and inputs is None:
        return WeightFormat.NVFP4_WEIGHT_ONLY
    return weight or WeightFormat.PLAIN


def _last(rules: list[_Rule], module: str, quantizer: str) -> WeightFormat | None:
    rule = next((rule for rule in reversed(rules) if rule.fits(module, quantizer)), None)
    return None if rule is None else rule.format


def _numerics(found: Any, where: str) -> WeightFormat:
    """Return the format of `num_bits`, `block_sizes` and `axis`; raises UsageError."""
    if not isinstance(found, dict):
        raise UsageError("it has no 'cfg' that says how many bits", where=where)
    bits, blocks = found.get("num_bits"), found.get("block_sizes")
    if bits in _E4M3 and blocks is None and found.get("axis") is None:
        return WeightFormat.FP8
    if bits in _E2M1 and isinstance(blocks, dict):
        in_blocks = blocks.get(-1) == BLOCK_SIZE and blocks.get("scale_bits") in _E4M3
        if in_blocks:
            return WeightFormat.NVFP4
    said = f"num_bits {bits}, block_sizes {blocks}, axis {found.get('axis')}"
    raise UsageError(f"{said} is not written here (FP8 by tensor, NVFP4)", where=where)
