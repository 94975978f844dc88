"""Scheduler, sampling and the engine loop over the Executor protocol."""

from trtnemo.runtime.client import EngineClient, client_over
from trtnemo.runtime.llm import LLM, RequestOutput
from trtnemo.runtime.load import load_executor, load_tokenizer, loop_options
from trtnemo.runtime.options import LoopOptions
from trtnemo.runtime.sampling_params import SamplingParams

__all__ = [
    "LLM",
    "EngineClient",
    "LoopOptions",
    "RequestOutput",
    "SamplingParams",
    "client_over",
    "load_executor",
    "load_tokenizer",
    "loop_options",
]
