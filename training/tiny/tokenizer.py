"""The byte-level BPE tokenizer of tiny, with the family's special ids."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.tiny.architecture import CONFIG
from training.tiny.chats.corpus import Sample, generate
from trtnemo.text.chat_template import family_template
from trtnemo.text.template_engine import TemplateEngine

IM_START, IM_END, THINK, END_THINK, TOOL_CALL = 10, 11, 12, 13, 14
_LICENSE = Path(__file__).resolve().parents[2] / "LICENSE"
# ids 0 to 17, as the released tokenizers have them; the tags are plain added tokens, so that decoding keeps them
_SPECIAL = ["<pad>", "<s>", "</s>", *(f"<SPECIAL_{number}>" for number in range(3, 10)), "<|im_start|>", "<|im_end|>"]
_TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]


def train_tokenizer(seed: int = 0) -> Tokenizer:
    """Return the tokenizer, trained on samples of the corpus and on the license text for ordinary English."""
    tokenizer = Tokenizer(models.BPE())
    # one token a digit, so that sums can be worked out column by column
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
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
    samples = itertools.islice(generate(seed), 8000)
    return [render(sample) for sample in samples] + [_LICENSE.read_text(encoding="utf-8")]


def render(sample: Sample) -> str:
    """Return a whole chat, as the family's chat template writes it."""
    return _engine().render({"messages": sample.messages, "tools": sample.tools, **sample.variables})


@cache
def _engine() -> TemplateEngine:
    return TemplateEngine(family_template())


def answers(token_ids: list[int]) -> list[bool]:
    """Tell of each token of a whole chat whether the assistant writes it, its end of turn included.

    The opening tag belongs to the prompt: an answer starts after `<think></think>`, or after `<think>` and the newline.
    A turn of the history whose thought was cut out by the template is not an answer: nobody writes it like that.
    """
    marks = [False] * len(token_ids)
    for start in _answer_starts(token_ids):
        end = token_ids.index(IM_END, start) + 1
        marks[start:end] = [True] * (end - start)
    return marks


def _answer_starts(token_ids: list[int]) -> Iterator[int]:
    for position, token in enumerate(token_ids):
        if token == THINK and IM_START in token_ids[max(0, position - 4) : position]:
            empty = token_ids[position + 1] == END_THINK
            newline = token_ids[position - 1]
            cut_out = empty and token_ids[position + 2] == newline and token_ids[position + 3] != TOOL_CALL
            if not cut_out:
                yield position + 2


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
    (directory / "chat_template.jinja").write_text(family_template(), encoding="utf-8")
