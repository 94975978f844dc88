"""A file that puts several servers together, pasted without its command."""

from __future__ import annotations

from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.several import read_several
from trtnemo.launch.pasted.start import Reading


def _read(pasted: Pasted) -> Reading | None:
    if len(pasted.mappings) != 1 or len(pasted.documents) != 1:
        return None
    return read_several({str(key): value for key, value in pasted.mappings[0].items()})


FORM = Form(_read, rank=55)
