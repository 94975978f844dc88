"""Text in and text out: tokenizer, chat template, reasoning, stop strings."""

from trtnemo.text.chat_template import ChatTemplate
from trtnemo.text.output import TextStream
from trtnemo.text.reasoning import ReasoningSplitter, ends_in_thinking, split_reasoning
from trtnemo.text.tokenizer import TextTokenizer

__all__ = ["ChatTemplate", "ReasoningSplitter", "TextStream", "TextTokenizer", "ends_in_thinking", "split_reasoning"]
