"""Known issues of the servers: which versions, what triggers them, what is seen, who says so, and what to do."""

from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.issue import Case, Rule
from trtnemo.launch.servers.sglang.issues import RULES as _SGLANG
from trtnemo.launch.servers.trtllm.issues import RULES as _TRTLLM
from trtnemo.launch.servers.trtllm.memory_issues import RULES as _TRTLLM_STATES
from trtnemo.launch.servers.trtllm.refusals import RULES as _TRTLLM_FIELDS
from trtnemo.launch.servers.vllm.issues import RULES as _VLLM

RULES: tuple[Rule, ...] = (*_TRTLLM, *_TRTLLM_STATES, *_TRTLLM_FIELDS, *_VLLM, *_SGLANG)


def rules_for(invocation: Invocation) -> tuple[Rule, ...]:
    """Return the known issues of the invocation's server and version."""
    return tuple(rule for rule in RULES if rule.concerns(invocation))


__all__ = ["RULES", "Case", "Rule", "rules_for"]
