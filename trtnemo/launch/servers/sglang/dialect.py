"""How SGLang is called and reads its words: by argparse."""

from __future__ import annotations

from trtnemo.launch.servers.surface import Dialect

DIALECT = Dialect(title="SGLang", variable_prefixes=("SGLANG_", "SGL_"))
