"""Shell text: a line, a script, or the code blocks of a Markdown text. The form of all that no other form takes."""

from __future__ import annotations

import re

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.slurm import gpus_of_batch, is_batch
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.shell.script import MAXIMUM_BYTES, read_script
from trtnemo.launch.pasted.start import Reading, shell_candidates

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)([^\n`]*)\n(.*?)^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)


def _read(pasted: Pasted) -> Reading:
    if len(pasted.text.encode("utf-8", "replace")) > MAXIMUM_BYTES:
        raise UsageError(f"the command is longer than {MAXIMUM_BYTES} bytes")
    blocks = [match[3] for match in _FENCE.finditer(pasted.text)]
    if blocks:
        return _read_blocks(blocks)
    script = read_script(pasted.text)
    form = "a Slurm script" if is_batch(pasted.text) else "shell text"
    count = gpus_of_batch(pasted.text)
    return Reading(form, shell_candidates(script, count), script, tuple(script.findings))


def _read_blocks(blocks: list[str]) -> Reading:
    """Read the code blocks of a text as one script; one that is no shell text, such as a log, is told."""
    kept, findings = [], []
    for number, block in enumerate(blocks, start=1):
        try:
            read_script(block)
        except UsageError:
            message = "is no shell text and is not read"
            findings.append(Finding("note", "block-not-read", f"code block {number}", message))
        else:
            kept.append(block)
    script = read_script("\n".join(kept))
    form = "the code blocks of a text"
    return Reading(form, shell_candidates(script), script, (*script.findings, *findings))


FORM = Form(_read, rank=100)
