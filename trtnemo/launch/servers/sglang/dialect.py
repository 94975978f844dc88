"""How SGLang is called and reads its words: by argparse."""

from __future__ import annotations

from trtnemo.launch.servers.surface import Dialect

MODULE = "sglang.launch_server"
DIALECT = Dialect(
    title="SGLang",
    words=("python3", "-m", MODULE),
    variable_prefixes=("SGLANG_", "SGL_"),
    model_option="--model-path",
)
