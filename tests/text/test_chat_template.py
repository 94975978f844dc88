"""The chat template of tiny says what the family's does; templates of others run in a sandbox."""

from __future__ import annotations

import pytest

from trtnemo.checkpoint.source import EMBEDDED
from trtnemo.errors import CheckpointError, RequestError
from trtnemo.text import ChatTemplate, TextTokenizer

TOKENIZER = TextTokenizer(EMBEDDED, 2)
TEMPLATE = ChatTemplate(EMBEDDED, TOKENIZER)
USER = {"role": "user", "content": "Hi"}
HEAD = "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"


@pytest.mark.parametrize(
    ("messages", "variables", "expected"),
    [
        ([USER], {}, HEAD + "<|im_start|>assistant\n<think>\n"),
        ([USER], {"enable_thinking": True}, HEAD + "<|im_start|>assistant\n<think>\n"),
        ([USER], {"enable_thinking": False}, HEAD + "<|im_start|>assistant\n<think></think>"),
        (
            [{"role": "system", "content": " Be kind. "}, USER],
            {"enable_thinking": False},
            HEAD.replace("system\n", "system\n Be kind. ") + "<|im_start|>assistant\n<think></think>",
        ),
        (
            [USER, {"role": "assistant", "content": "Hello", "reasoning_content": "hm"}, USER],
            {"enable_thinking": False},
            HEAD + "<|im_start|>assistant\n<think></think>\nHello<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n<think></think>",
        ),
        (
            [USER, {"role": "assistant", "content": "Hello"}, USER],
            {"enable_thinking": False},
            HEAD + "<|im_start|>assistant\n<think></think>Hello<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n<think></think>",
        ),
        (
            [USER],
            {"low_effort": True},
            HEAD[:-11] + "\n\n{reasoning effort: low}<|im_end|>\n<|im_start|>assistant\n<think>\n",
        ),
    ],
)
def test_messages_become_the_familys_prompt(messages, variables, expected):
    assert TEMPLATE.render(messages, variables) == expected


def write(directory, text):
    (directory / "chat_template.jinja").write_text(text)
    return ChatTemplate(directory, TOKENIZER)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ raise_exception('no') }}",
        "{{ messages[0].content + 3 }}",
        "{{ range(10**9) | list }}",
    ],
)
def test_a_template_that_misbehaves_is_a_refused_request(tmp_path, text):
    with pytest.raises(RequestError, match="chat template"):
        write(tmp_path, text).render([USER], {})


def test_what_is_no_template_is_refused_at_start(tmp_path):
    with pytest.raises(CheckpointError, match="not a Jinja template"):
        write(tmp_path, "{% if %}")
    with pytest.raises(CheckpointError, match="longer"):
        write(tmp_path, "x" * 300_000)


def test_a_request_may_not_replace_the_servers_own_variables():
    with pytest.raises(RequestError, match="messages"):
        TEMPLATE.render([USER], {"messages": []})
