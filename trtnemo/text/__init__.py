"""Text in and text out: tokenizer, chat template, reasoning, tool calls, stop strings."""

from trtnemo.text.answer import Answer, AnswerFormat, AnswerParser, Part, read_answer
from trtnemo.text.chat_template import ChatTemplate
from trtnemo.text.output import TextStream
from trtnemo.text.reasoning import ReasoningSplitter, ends_in_thinking, split_reasoning
from trtnemo.text.tokenizer import TextTokenizer
from trtnemo.text.tool_call import ToolCall, ToolSchemas

__all__ = [
    "Answer",
    "AnswerFormat",
    "AnswerParser",
    "ChatTemplate",
    "Part",
    "ReasoningSplitter",
    "TextStream",
    "TextTokenizer",
    "ToolCall",
    "ToolSchemas",
    "ends_in_thinking",
    "read_answer",
    "split_reasoning",
]
