"""How vLLM is called and reads its words: by argparse, with `_` for `-`, dotted objects, and `-O3` read beforehand."""

from __future__ import annotations

from trtnemo.launch.servers.surface import Dialect

DIALECT = Dialect(
    title="vLLM",
    words=("vllm", "serve"),
    variable_prefixes=("VLLM_",),
    image_starts_it=True,
    entry_image="vllm/vllm-openai",
    default_host=None,
    dashes_for_underscores=True,
    dotted_objects=True,
    rewrites=((r"^-O=?(?=\d)", "--optimization-level="), (r"^-O$", "--optimization-level")),
)
