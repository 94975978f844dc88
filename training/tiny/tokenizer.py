"""The byte-level BPE tokenizer of tiny, with the family's special ids."""

from __future__ import annotations

import itertools
import json
import shutil
from functools import cache
from pathlib import Path

import jinja2
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.tiny.architecture import CONFIG
from training.tiny.corpus import Sample, generate

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
_LICENSE = Path(__file__).resolve().parents[2] / "LICENSE"
# ids 0 to 17, as the released tokenizers have them; the tags are plain added tokens, so that decoding keeps them
_SPECIAL = ["<pad>", "<s>", "</s>", *(f"<SPECIAL_{number}>" for number in range(3, 10)), "<|im_start|>", "<|im_end|>"]
_TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]


def train_tokenizer(seed: int = 0) -> Tokenizer:
    """Return the tokenizer, trained on samples of the corpus and on the license text for ordinary English."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"],
        special_tokens=_SPECIAL + _TAGS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in _TAGS])
    return tokenizer


def _texts(seed: int) -> list[str]:
    samples = itertools.islice(generate(seed), 5000)
    return [render(sample) + sample.completion for sample in samples] + [_LICENSE.read_text(encoding="utf-8")]


def render(sample: Sample) -> str:
    """Return the prompt of a sample, as the chat template writes it."""
    return _template().render(messages=sample.messages, add_generation_prompt=True, **dict(sample.variables))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def write_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """Write tokenizer.json and what belongs beside it."""
    # The library marks trained special tokens special; the tags must survive decoding, as in the released files.
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["special"] = token["content"] not in _TAGS
    (directory / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "<|im_end|>",
        "pad_token": "<pad>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONFIG["max_position_embeddings"],
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    generation = {
        "bos_token_id": 1,
        "eos_token_id": [2, 11],
        "pad_token_id": 0,
        "temperature": 1.0,
        "top_p": 0.95,
        "do_sample": True,
    }
    (directory / "generation_config.json").write_text(json.dumps(generation, indent=1), encoding="utf-8")
    shutil.copyfile(TEMPLATE, directory / "chat_template.jinja")
