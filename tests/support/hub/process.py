"""A hub on this machine as a process, and trtnemo run against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.support.paths import SUPPORT

HUB = SUPPORT / "hub" / "hub.py"
NAME = "owner/model"


class Hub:
    """A running hub, and trtnemo run against it in processes of their own: the client reads its endpoint at import."""

    def __init__(self, directory: Any, home: Any, *flags: Any) -> None:
        command = [sys.executable, str(HUB), str(directory), NAME, *flags]
        self.home = home
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def run(self, *arguments: Any, **environment: Any) -> Any:
        variables = {**os.environ, "HF_ENDPOINT": self.address, "HF_HOME": str(self.home), "HF_HUB_OFFLINE": "0"}
        variables |= {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1", **environment}
        command = [sys.executable, "-m", "trtnemo", *map(str, arguments)]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)

    def stop(self) -> Any:
        """Stop, and return what was answered."""
        self.process.terminate()
        lines = self.process.communicate()[0].splitlines()
        return [json.loads(line) for line in lines]
