"""The engine in a process of its own: messages over a socket pair, watched, and started again when it is lost."""

from trtnemo.runtime.process.process import EngineProcess
from trtnemo.runtime.process.watch import WatchLimits

__all__ = ["EngineProcess", "WatchLimits"]
