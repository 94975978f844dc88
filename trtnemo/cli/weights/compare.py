"""`trtnemo diff` of two checkpoints: every number, and where it is asked for, a page and predictions."""

from __future__ import annotations

from pathlib import Path

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.comparing.compare import compare_checkpoints
from trtnemo.cli.options import print_json
from trtnemo.cli.views.pages.output import require_page
from trtnemo.cli.views.progress import point_progress
from trtnemo.cli.views.weights import difference_json, print_difference
from trtnemo.cli.weights.logits import logits_difference, logits_json, print_logits, read_ids


def diff_weights(
    first: str, second: str, html: Path | None, texts: Path | None, most_tokens: int, as_json: bool
) -> bool:
    """Print how two checkpoints differ, and return whether they are the same.

    html: a page that is written too; texts: a file that both are run over, `most_tokens` of it.
    """
    if html is not None:
        require_page(html)
    ours, theirs = Checkpoint.survey(first), Checkpoint.survey(second)
    ids = None if texts is None else read_ids(ours, theirs, texts, most_tokens)  # refused before all is read
    with point_progress() as report:
        found = compare_checkpoints(ours, theirs, report)
    predicted = None if ids is None else logits_difference(ours, theirs, ids)
    if as_json:
        more = {} if predicted is None else {"logits": logits_json(predicted)}
        print_json({**difference_json(found), **more})
    else:
        print_difference(found)
        if predicted is not None:
            print_logits(predicted)
    if html is not None:
        from trtnemo.cli.views.pages.difference_page import write_difference_page

        write_difference_page(html, ours, theirs, found, predicted)
    return found.same
