"""The plan's bound for a load: what bandwidth and arithmetic allow of prompts and answers together."""

from __future__ import annotations

from trtnemo.bench.calibrate import calibrated_cpu
from trtnemo.bench.load.record import Prediction
from trtnemo.bench.load.run import Predict
from trtnemo.errors import RecipeError
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.hardware import recipe_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import Plan, make_plan
from trtnemo.plan.roofline import Roofline
from trtnemo.recipe import AnyRecipe


def plan_of(recipe: AnyRecipe) -> Plan:
    """Return a recipe's plan; raises TrtnemoError where its network is not known or cannot be split."""
    network = find_network(recipe.checkpoint, recipe.revision)
    device = recipe_device(recipe.hardware, calibrated_cpu)
    if device.bandwidth_gbs is None:
        raise RecipeError(
            f"the bandwidth of '{device.name}' is not known: its speed has no bound",
            where="the recipe",
            remedy="State hardware.bandwidth_gbs",
        )
    return make_plan(network, to_deployment(recipe, network), device)


def predictor(plan: Plan) -> Predict:
    """Return a function from a load to its bound.

    A closed load of B sequences runs each prompt once, and then a decode step a token (or a round of drafts): B answers
    take B prompts of prefill and as many steps of B as an answer has rounds.
    """
    roofline = Roofline(plan.network, plan.deployment, plan.device, plan.weights)

    def predict(batch: int, prompt: float, answer: float, acceptance: float | None) -> Prediction:
        accepted = 0.0 if acceptance is None else acceptance
        decode = roofline.decode(batch, max(1, round(prompt + answer / 2)), accepted)
        prefill = roofline.prefill(max(1, min(round(batch * prompt), plan.deployment.max_num_tokens)))
        answering = batch * answer / decode.tokens_per_second
        reading = batch * prompt / prefill.tokens_per_second
        total = batch * answer / (answering + reading)
        bound = decode.bound if answering >= reading else f"{prefill.bound}, prompts"
        return Prediction(tokens_per_second=total, tokens_per_second_each=total / batch, bound=bound)

    return predict
