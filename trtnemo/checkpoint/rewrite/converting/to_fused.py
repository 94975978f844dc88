"""What the hub's layout becomes in transformers 5's: experts of a layer in one tensor, `model.` for `backbone.`."""

from __future__ import annotations

from collections import Counter, defaultdict

from trtnemo.checkpoint.auditing.audit import audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import expected_tensors
from trtnemo.checkpoint.family.module_name import DRAFT
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.format.storage import TensorInfo
from trtnemo.checkpoint.rewrite.converting.stacks import joined
from trtnemo.checkpoint.rewrite.stream.piece import Piece, copied


def plan_fused(source: Checkpoint) -> tuple[list[Piece], Counter[str]]:
    """Return the pieces in the order of the network, and how many tensors changed, by what was done to them.

    The MTP head, which transformers does not load, stays as it is. Raises CheckpointError for a checkpoint that is
    quantized, or not whole.
    """
    audit(source).require()
    source.require_plain()
    stacks: dict[str, list[TensorInfo]] = defaultdict(list)
    others: list[Piece] = []
    done: Counter[str] = Counter()
    expected = [item.name for item in expected_tensors(source.config, QuantizationMap()) if item.name in source.tensors]
    for name in (*expected, *sorted(source.tensors.keys() - set(expected))):
        info = source.tensors[name]
        new = name if name.startswith(DRAFT) else name.replace("backbone.", "model.", 1)
        head, dot, tail = new.partition(".mixer.experts.")
        if dot and not name.startswith(DRAFT):
            stacks[f"{head}.mixer.experts.{tail.split('.')[1]}"].append(info)  # in the order of the experts
        else:
            done["copied" if new == name else "renamed"] += 1
            others.append(copied(info, new))
    done["joined"] = sum(map(len, stacks.values()))
    return [*others, *(joined(name, experts) for name, experts in stacks.items())], done
