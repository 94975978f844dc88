"""Compare our drafting with llama.cpp's own MTP on the shipped `tiny`: how many drafts each one's target accepts.

Both read the same held-out prompts as token ids, decode greedily and draft three tokens at a time. The check holds when
the answers agree and the acceptance rates differ by less than 2 %. `--spoil` shows that it can fail.

usage: python scripts/mtp_oracle.py --server PATH/llama-server --model tiny.gguf [--prompts 50] [--spoil concat|norm]
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from training.tiny.held_out import held_out_prompts
from trtnemo import LLM, SamplingParams
from trtnemo.engine import build_engine
from trtnemo.network import functional
from trtnemo.network import nemotron_h as network
from trtnemo.recipe import load_recipe

DRAFTS, MAX_TOKENS, SEED = 3, 64, 7
ALLOWED = 0.02


@dataclass
class Tally:
    """Token ids of each answer, and drafts proposed and accepted over all of them."""

    answers: list[list[int]]
    drafted: int = 0
    accepted: int = 0

    @property
    def acceptance(self) -> float:
        """Accepted drafts as a share of those proposed."""
        return self.accepted / max(1, self.drafted)


@contextmanager
def peer(server: str, model: str) -> Iterator[str]:
    """Yield the URL of a llama.cpp server that drafts with the model's own head."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    drafting = ["--spec-type", "draft-mtp", "--spec-draft-n-max", str(DRAFTS), "--spec-draft-p-min", "0"]
    command = [server, "-m", model, "--port", str(port), "-t", "2", "-c", "4096", "--parallel", "1", *drafting]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            while not _is_healthy(url):
                if process.poll() is not None:
                    log.seek(0)
                    raise SystemExit(f"the peer ended: {log.read()[-2000:]}")
                time.sleep(0.2)
            yield url
        finally:
            process.kill()
            process.wait()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.HTTPError:
        return False


def ask_peer(url: str, prompts: list[list[int]], stops: frozenset[int]) -> Tally:
    """Return what llama.cpp makes of the prompts."""
    tally = Tally([])
    for prompt in prompts:
        body = {
            "prompt": prompt,
            "n_predict": MAX_TOKENS,
            "temperature": 0,
            "return_tokens": True,
            "cache_prompt": False,
        }
        answer: dict[str, Any] = httpx.post(f"{url}/completion", json=body, timeout=300).json()
        tokens = answer["tokens"]
        end = next((place + 1 for place, token in enumerate(tokens) if token in stops), len(tokens))
        tally.answers.append(tokens[:end])
        tally.drafted += answer["timings"].get("draft_n", 0)
        tally.accepted += answer["timings"].get("draft_n_accepted", 0)
    return tally


def ask_ours(llm: LLM, prompts: list[list[int]]) -> Tally:
    """Return what our engine makes of the prompts."""
    outputs = llm.generate(prompts, SamplingParams(temperature=0, max_tokens=MAX_TOKENS))
    drafted, accepted = sum(o.drafted for o in outputs), sum(o.accepted for o in outputs)
    return Tally([output.token_ids for output in outputs], drafted, accepted)


def spoil(what: str) -> None:
    """Make one of the two classic mistakes in the draft head's input."""
    if what == "concat":

        def join(self: Any, embedded: Any, hidden: Any) -> Any:
            return self.eh_proj(functional.concat(f"{self.path}.concat", self.hnorm(hidden), self.enorm(embedded)))

        network.MtpEntry.join = join  # type: ignore[method-assign]
    if what == "norm":

        def forward(self: Any, token_ids: Any, logit_rows: Any) -> Any:
            x = self.backbone.embeddings(token_ids)
            for layer in self.backbone.layers:
                x = layer(x)
            wanted = functional.select_rows("select_rows", self.backbone.norm_f(x), logit_rows)
            return network.Outputs(x, self.lm_head(wanted))

        network.NemotronH.forward = forward  # type: ignore[method-assign]


def main() -> None:
    """Print both tallies as JSON; exit 1 when they disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--server", required=True, help="llama.cpp's llama-server")
    parser.add_argument("--model", required=True, help="the same checkpoint, converted")
    parser.add_argument("--checkpoint", default="tiny", help="our checkpoint [default: tiny]")
    parser.add_argument("--prompts", type=int, default=50, help="how many [default: 50]")
    parser.add_argument("--spoil", choices=("concat", "norm"), help="make a mistake on purpose, on our side")
    options = parser.parse_args()
    if options.spoil:
        spoil(options.spoil)
    with tempfile.TemporaryDirectory() as directory:
        settings = [f"checkpoint={options.checkpoint}", f"speculation.draft_tokens={DRAFTS}"]
        build_engine(load_recipe("tiny", settings), "tiny", Path(directory) / "engine")
        with LLM(Path(directory) / "engine") as llm:
            prompts = [llm.tokenizer.encode(text) for text in held_out_prompts(options.prompts, SEED)]
            ours = ask_ours(llm, prompts)
            stops = llm.tokenizer.stop_token_ids
    with peer(options.server, options.model) as url:
        theirs = ask_peer(url, prompts, stops)
    same = sum(one == other for one, other in zip(ours.answers, theirs.answers, strict=True))
    agrees = same == len(prompts) and abs(ours.acceptance - theirs.acceptance) < ALLOWED
    result = {
        "prompts": len(prompts),
        "same_answers": same,
        "ours": {"drafted": ours.drafted, "accepted": ours.accepted, "acceptance": round(ours.acceptance, 4)},
        "llama.cpp": {
            "drafted": theirs.drafted,
            "accepted": theirs.accepted,
            "acceptance": round(theirs.acceptance, 4),
        },
        "agrees": agrees,
    }
    print(json.dumps(result, indent=1))
    sys.exit(0 if agrees else 1)


if __name__ == "__main__":
    main()
