"""A pasted text of any form, read as the form that it is."""

from __future__ import annotations

import re
from dataclasses import replace

from trtnemo.errors import UsageError
from trtnemo.launch.pasted.forms.form import Pasted, all_forms
from trtnemo.launch.pasted.start import Reading
from trtnemo.launch.pasted.yaml_text import MAXIMUM_BYTES, YamlText, load_yaml

_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")
# a key at the beginning of a line, or a list: what YAML that a server is started from looks like
_YAML = re.compile(r"\A(?:\s*(?:#[^\n]*|---[^\n]*|%YAML[^\n]*)?\n)*\s*(?:[\"']?[\w./-]+[\"']?[ \t]*:(?:\s|$)|[\[{]|- )")


def read_text(text: str) -> Reading:
    """Return what a text says in the form that it has; raises UsageError where no form reads it."""
    text = text.removeprefix("\ufeff")
    if len(text.encode("utf-8", "replace")) > MAXIMUM_BYTES:
        raise UsageError(f"the text is longer than {MAXIMUM_BYTES} bytes", where="--command")
    if _CONTROL.search(text):
        raise UsageError("is no text: it holds control characters", where="--command")
    content = _yaml(text)
    pasted = Pasted(text, content.documents if any(isinstance(one, (dict, list)) for one in content.documents) else ())
    for form in all_forms():
        reading = form.read(pasted)
        if reading is not None:
            return replace(reading, findings=(*reading.findings, *content.findings))
    raise UsageError("is no form that is read here", where="--command")


def _yaml(text: str) -> YamlText:
    """Return the YAML that a text is, or an empty one; a text that begins with a bracket may be shell as well."""
    match = _YAML.match(text)
    if match is None:
        return YamlText((), ())
    try:
        return load_yaml(text)
    except UsageError:
        if match[0].rstrip().endswith(("[", "{")):
            return YamlText((), ())
        raise
