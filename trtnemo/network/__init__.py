"""The model written once; calling it records the graph."""

from trtnemo.network.context import BuildContext, ComputeMode
from trtnemo.network.module import Module, Parameter
from trtnemo.network.nemotron_h import NemotronH
from trtnemo.network.pretrained import Outputs, PretrainedModel

__all__ = ["BuildContext", "ComputeMode", "Module", "NemotronH", "Outputs", "Parameter", "PretrainedModel"]
