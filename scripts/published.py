"""Print what a plan predicts beside what NVIDIA and its partners published, as the tables of docs/plan.md.

usage: python scripts/published.py
"""

from __future__ import annotations

from trtnemo.plan.deployment import Deployment
from trtnemo.plan.hardware import find_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import judge_deployment
from trtnemo.plan.roofline import ACCEPTANCE, Roofline, tokens_per_step
from trtnemo.plan.weights import weight_bytes

SUPER = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B"
# precision, device, count: published as the least (TensorRT-LLM guide, cookbooks, model card)
LEAST = [
    ("NVFP4", "b200", 1),
    ("NVFP4", "dgx-spark", 1),
    ("NVFP4", "h100", 2),
    ("NVFP4", "h200", 2),
    ("FP8", "h100", 2),
    ("BF16", "h100", 4),
    ("BF16", "h200", 4),
    ("BF16", "b200", 2),
]
# lambda.ai: vLLM, 8,192 tokens in, 1,024 out, 32 at once; tokens a second, milliseconds between tokens
LAMBDA = [
    ("NVFP4", "b200", 2, 2057, 12),
    ("NVFP4", "b200", 1, 1517, 16),
    ("FP8", "b200", 2, 1847, 13),
    ("FP8", "h100", 2, 1116, 24),
    ("BF16", "a100", 4, 553, 51),
]


def deploy(device: str, count: int, batch: int, context: int, drafts: int = 0) -> Deployment:
    """Return a deployment of vLLM's kind, split over all devices."""
    return Deployment(
        server="vllm", device=device, devices=count, tensor=count, max_batch_size=batch, max_num_tokens=8192,
        max_seq_len=context, kv_dtype="fp8", draft_tokens=drafts, memory_fraction=0.9,
    )  # fmt: skip


def print_least() -> None:
    """Print the verdict on the published least hardware, and on half of it."""
    print("| checkpoint | published as the least | plan: 1 sequence of 32,768 tokens | with half of it |")
    print("|---|---|---|---|")
    for precision, device, count in LEAST:
        network = find_network(f"{SUPER}-{precision}")
        told = []
        for size in (count, count // 2):
            if not size:
                told.append("-")
                continue
            verdict = judge_deployment(network, deploy(device, size, 1, 32_768), find_device(device))
            told.append(verdict.sentence.replace("batch 1 at 32,768 tokens, ", ""))
        print(f"| {precision} | {count}x {find_device(device).title} | {told[0]} | {told[1]} |")


def print_speeds() -> None:
    """Print the bound of a decode step beside the published milliseconds between tokens."""
    print("\n| checkpoint, devices | published ms | bound ms | share reached | published tokens/s | bound |")
    print("|---|---|---|---|---|---|")
    for precision, name, count, rate, milliseconds in LAMBDA:
        network, device = find_network(f"{SUPER}-{precision}"), find_device(name)
        deployment = deploy(name, count, 32, 9216)
        weights = weight_bytes(network.tensors, network.config, deployment)
        speed = Roofline(network, deployment, device, weights).decode(32, 8704)
        bound = speed.seconds * 1e3
        print(f"| {precision}, {count}x {device.title} | {milliseconds} | {bound:.1f} | {bound / milliseconds:.0%} "
              f"| {rate:,} | {speed.tokens_per_second:,.0f} |")  # fmt: skip


def print_drafts() -> None:
    """Print the mean tokens of a verification that the acceptance rate means."""
    pairs = ", ".join(f"{count}: {tokens_per_step(count, ACCEPTANCE):.2f}" for count in (1, 2, 3, 5, 7))
    print(f"\ntokens a verification by drafts, {ACCEPTANCE} of each accepted: {pairs} (published: 3.45 at 7)")


if __name__ == "__main__":
    print_least()
    print_speeds()
    print_drafts()
