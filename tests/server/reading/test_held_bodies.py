"""A body is held until it is read, and no longer."""

from __future__ import annotations

from tests.support.speaker import HTTP, STAGE, Speaker, context_over, stage_url
from trtnemo.front.access_log import AccessLog
from trtnemo.front.gate import Gate, GateRules
from trtnemo.server.app import create_app


def test_a_body_that_is_read_is_held_no_more_while_its_answer_is_streamed() -> None:
    body = {"prompt": "x", "user": "y" * 3000, "stream": True, "max_tokens": 400}
    with context_over(Speaker("a long answer " * 10, slow_after=1)) as context:
        STAGE.app = Gate(create_app(context), GateRules(all_bodies=4000), AccessLog("off"))
        try:
            with HTTP.stream("POST", f"{stage_url()}/v1/completions", json=body) as first:
                lines = first.iter_lines()  # a generator that is dropped closes the connection
                next(lines)
                assert HTTP.post(f"{stage_url()}/v1/completions", json={**body, "stream": False}).status_code == 200
            assert HTTP.post(f"{stage_url()}/v1/completions", content=b" " * 4001).status_code == 503
        finally:
            STAGE.app = None
