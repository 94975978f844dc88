"""Which TensorRT is installed: TensorRT for RTX or full TensorRT, found at run time."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from trtnemo.errors import MachineError
from trtnemo.trt.element import Element

Flavor = Literal["rtx", "full"]
# TensorRT for RTX publishes wheels of its bindings under one name and source installers under another.
MODULES: dict[Flavor, tuple[str, ...]] = {
    "rtx": ("tensorrt_rtx_bindings", "tensorrt_rtx"),
    "full": ("tensorrt", "tensorrt_bindings"),
}
_REMEDIES = {"full": "pip install tensorrt", "rtx": "pip install 'trtnemo[tensorrt]'"}


@dataclass(frozen=True)
class Library:
    """A TensorRT that was imported: its flavor, module and version."""

    flavor: Flavor
    module: Any
    version: str

    @property
    def product(self) -> str:
        """The name that NVIDIA gives it."""
        return "TensorRT for RTX" if self.flavor == "rtx" else "TensorRT"

    def data_type(self, element: Element) -> Any:
        """Return the library's own element type."""
        return getattr(self.module.DataType, element.tensorrt_name)


def find_library(flavor: Literal["auto", "rtx", "full"] = "auto") -> Library:
    """Return the first TensorRT that imports, RTX before full; raises MachineError when there is none."""
    wanted: tuple[Flavor, ...] = ("rtx", "full") if flavor == "auto" else (flavor,)
    problems = []
    for candidate in wanted:
        for name in MODULES[candidate]:
            try:
                module = importlib.import_module(name)
            except ImportError as error:
                problems.append(f"{name}: {error}")
                continue
            if hasattr(module, "Builder"):
                return Library(candidate, module, str(module.__version__))
            problems.append(f"{name}: holds no builder")
    product = {"auto": "TensorRT", "rtx": "TensorRT for RTX", "full": "full TensorRT"}[flavor]
    raise MachineError(
        f"{product} is not installed ({'; '.join(problems)})", remedy=_REMEDIES["full" if flavor == "full" else "rtx"]
    )
