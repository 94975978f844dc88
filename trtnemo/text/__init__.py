"""Text in and text out: tokenizer, chat template, stop strings, and the parts of an answer."""

from trtnemo.formats.format import ToolCall, ToolSchemas
from trtnemo.text.answer import Answer, AnswerFormat, AnswerParser, Part, read_answer
from trtnemo.text.chat_template import ChatTemplate
from trtnemo.text.output import TextStream
from trtnemo.text.tokenizer import TextTokenizer

__all__ = [
    "Answer",
    "AnswerFormat",
    "AnswerParser",
    "ChatTemplate",
    "Part",
    "TextStream",
    "TextTokenizer",
    "ToolCall",
    "ToolSchemas",
    "read_answer",
]
