"""`render --as evaluator`: the file of NeMo Evaluator's launcher."""

from __future__ import annotations

from typing import Any

import yaml

from trtnemo.checkpoint.family.card import Suite, card_suites
from trtnemo.launch.render.client_endpoint import ClientEndpoint
from trtnemo.launch.render.form import ClientForm
from trtnemo.recipe import AnyRecipe

EVALUATION_TOKENS = 131_072


def render_evaluator(recipe: AnyRecipe, endpoint: ClientEndpoint) -> str:
    """Return NeMo Evaluator's launcher file for the card's suites against this endpoint; keys are named, never given.

    Source: NVIDIA-NeMo/Evaluator, the launcher's examples for Nemotron-3 Super.
    """
    params = {
        "parallelism": 1,
        "max_new_tokens": EVALUATION_TOKENS,
        "temperature": recipe.sampling.temperature,
        "top_p": recipe.sampling.top_p,
        "request_timeout": 3600,
        "max_retries": 10,
        "extra": {"tokenizer_backend": "huggingface", "tokenizer": recipe.checkpoint},
    }
    thinking = {"chat_template_kwargs": {"enable_thinking": True}, "skip_special_tokens": False}
    content = {
        "defaults": [{"execution": "local"}, {"deployment": "none"}, "_self_"],
        "execution": {"output_dir": "./results"},
        "target": {
            "api_endpoint": {
                "model_id": endpoint.model,
                "url": f"{endpoint.base}/v1/chat/completions",
                "api_key_name": "API_KEY",
            }
        },
        "evaluation": {
            "env_vars": {"HF_TOKEN": "host:HF_TOKEN"},
            "nemo_evaluator_config": {
                "config": {"params": params},
                "target": {"api_endpoint": {"adapter_config": {"params_to_add": thinking}}},
            },
            "tasks": [_task(suite) for suite in card_suites() if suite.task is not None],
        },
    }
    text: str = yaml.safe_dump(content, sort_keys=False, width=120)
    missing = ", ".join(suite.name for suite in card_suites() if suite.task is None)
    judged = ", ".join(str(suite.task) for suite in card_suites() if suite.judge)
    return (
        f"# The card's suites but for {missing}, which run in containers of their own.\n"
        f"# These ask a judge or a simulated user, whose endpoint you give under extra: {judged}\n{text}"
    )


def _task(suite: Suite) -> dict[str, Any]:
    if not suite.extra:
        return {"name": suite.task}
    return {"name": suite.task, "nemo_evaluator_config": {"config": {"params": {"extra": dict(suite.extra)}}}}


FORM = ClientForm(render_evaluator, external_only=True)
