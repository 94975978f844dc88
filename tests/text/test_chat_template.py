"""The chat template of tiny says what the family's does; templates of others run in a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from tests.support.formats import REASONING
from trtnemo.checkpoint.hub.source import EMBEDDED
from trtnemo.errors import CheckpointError, RequestError
from trtnemo.text import ChatTemplate, TextTokenizer
from trtnemo.text.template_engine import TemplateEngine

TOKENIZER = TextTokenizer(EMBEDDED, 2)
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
def test_messages_become_the_familys_prompt(
    template: Any, messages: Any, variables: dict[str, Any], expected: Any
) -> None:
    assert template.render(messages, variables) == expected


@pytest.fixture(scope="module")
def template(tmp_path_factory: Any) -> Any:
    """Return the family's template, as a checkpoint of the family gets it that brings none."""
    return ChatTemplate(tmp_path_factory.mktemp("without"), TOKENIZER, reasoning=REASONING)


@contextmanager
def brought(directory: Any, text: Any, time_limit: Any = 2.0) -> Iterator[Any]:
    """Return a checkpoint's own template, in its process."""
    (directory / "chat_template.jinja").write_text(text)
    template = ChatTemplate(directory, TOKENIZER, time_limit, REASONING)
    try:
        yield template
    finally:
        template.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "unsafe"),
        ("{{ messages.__init__.__globals__ }}", "unsafe"),
        ("{{ raise_exception('no') }}", "no"),
        ("{{ messages[0].content + 3 }}", "fails"),
        ("{{ range(10**9) | list }}", "fails"),
        ("{{ messages[0].content * 10**10 }}", "fails"),
        ("{{ messages[0].content * 2**24 }}", "more than 16777216 characters"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "takes more than 2 seconds"),
        ("{% for a in range(99999) %}{{ messages[0].content * 9**6 }}{% endfor %}", "more than 16777216 characters"),
        ("{% set a %}{% for b in range(99999) %}{{ messages[0].content * 9**6 }}{% endfor %}{% endset %}", "[Mm]emory"),
    ],
)
def test_a_template_that_misbehaves_is_a_refused_request_and_the_next_one_is_served(
    tmp_path: Path, text: str, message: str
) -> None:
    own = "{% if messages[0].content == 'Hi' %}" + text + "{% else %}fine{% endif %}"
    with brought(tmp_path, own) as template:
        with pytest.raises(RequestError, match=f"chat template .*{message}"):
            template.render([USER], {})
        assert template.render([{"role": "user", "content": "again"}], {}) == "fine"


def test_a_template_that_folds_into_gigabytes_is_refused_when_compiled(tmp_path: Path) -> None:
    with pytest.raises(RequestError), brought(tmp_path, "{{ 'a' * 10**10 }}") as template:
        template.render([USER], {})


def test_a_checkpoints_own_template_is_used_with_all_it_asks_for(tmp_path: Path) -> None:
    text = "{{ bos_token }}{{ messages[0].content }}|{{ tools | tojson }}|{{ flavour }}"
    with brought(tmp_path, text) as template:
        assert template.render([USER], {"flavour": "é"}, [{"a": "ü"}]) == '<s>Hi|[{"a": "ü"}]|é'
        with pytest.raises(RequestError, match="does not know 'enable_thinking'"):
            template.render([USER], {"enable_thinking": True})


def test_the_process_of_a_template_does_not_see_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    with brought(tmp_path, "{{ messages[0].content }}") as template:
        process = template._engine._worker._process
        assert b"secret" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert process.poll() is not None


def test_what_is_no_template_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a Jinja template"), brought(tmp_path, "{% if %}"):
        pass
    with pytest.raises(CheckpointError, match="longer"), brought(tmp_path, "x" * 300_000):
        pass


def test_a_tokenizer_that_is_not_the_familys_gets_no_template(tmp_path: Path) -> None:
    stranger = Tokenizer(models.WordLevel({"hi": 0}, unk_token="hi"))  # noqa: S106
    stranger.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="has no chat template"):
        ChatTemplate(tmp_path, TextTokenizer(tmp_path))


def test_a_request_may_not_replace_the_servers_own_variables(template: Any) -> None:
    with pytest.raises(RequestError, match="messages"):
        template.render([USER], {"messages": []})


@pytest.mark.parametrize(
    ("name", "hint"), [("enable_thinkin", "enable_thinking"), ("lowEffort", "low_effort"), ("content", None)]
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(template: Any, name: str, hint: str | None) -> None:
    with pytest.raises(RequestError, match=f"does not know '{name}'" + (f"; did you mean '{hint}'" if hint else "")):
        template.render([USER], {name: True})


def test_the_parsers_own_variable_is_accepted_beside_the_templates(template: Any) -> None:
    assert template.render([USER], {"force_nonempty_content": True}) == template.render([USER], {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% set a = a if a is defined else 1 %}{{ a }}", {"a"}),
        ("{% if not a is defined %}{% set a = 1 %}{% endif %}{{ a }}", {"a"}),
        ("{% set a = a or 1 %}{{ a }}", {"a"}),
        (
            "{% for m in messages %}{% set c = m %}{% if 1 %}{% set c = c[0] %}{{ c | trim }}{% endif %}{% endfor %}",
            {"messages"},
        ),
        ("{{ a | default(2) }}{{ range(3) }}{{ raise_exception('x') }}", {"a"}),
    ],
)
def test_the_names_a_template_reads_from_outside_are_found(text: str, expected: Any) -> None:
    assert TemplateEngine(text).variables == expected


@pytest.mark.parametrize("value", ["false", 0, 1, None, [], {}])
@pytest.mark.parametrize("name", ["enable_thinking", "low_effort", "force_nonempty_content"])
def test_a_switch_that_is_no_truth_value_is_refused(template: Any, name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"'{name}' must be true or false"):
        template.render([{"role": "user", "content": "x"}], {name: value})
