"""The checkpoint's tokenizer: text to ids and back, and the ids that end an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from trtnemo.errors import CheckpointError, RequestError
from trtnemo.formats.registry import all_tags
from trtnemo.text.control_text import encode_marked, longer_than_one
from trtnemo.text.token_bytes import bytes_of_tokens, is_byte_level

END_OF_TURN = "<|im_end|>"


class TextTokenizer:
    """A tokenizer.json with what its neighbours say about special tokens."""

    def __init__(self, directory: Path, model_eos: int | list[int] | None = None) -> None:
        path = directory / "tokenizer.json"
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise CheckpointError(f"cannot be read: {error}", where=str(path)) from None
        self._tokenizer.encode_special_tokens = False
        self._keep_tags(path)
        self._settings = _read_json(directory / "tokenizer_config.json")
        self._generation = _read_json(directory / "generation_config.json")
        self._model_eos = model_eos
        self._token_texts: dict[int, str] = {}

    def _keep_tags(self, path: Path) -> None:
        """Make sure that decoding keeps the tags that parsers look for, should a file mark them special."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        tags = all_tags()
        if any(token.special and token.content in tags for token in added):
            content = json.loads(path.read_text(encoding="utf-8"))
            for token in content["added_tokens"]:
                token["special"] = token["special"] and token["content"] not in tags
            self._tokenizer = Tokenizer.from_str(json.dumps(content))

    def encode(self, text: str) -> list[int]:
        """Return token ids; nothing is added in front (the family's chats carry no BOS).

        Raises RequestError on text that no UTF-8 can hold: JSON can smuggle in half of a surrogate pair.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RequestError(f"the text holds a lone surrogate at character {error.start}") from None
        # one of a batch, for that lets go of the interpreter while it works
        ids: list[int] = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids
        return ids

    @cached_property
    def control_tokens(self) -> frozenset[str]:
        """Texts of tokens that turn and role are made of; `tag_tokens` are all that a text may be mistaken for."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        return longer_than_one(token.content for token in added if token.special)

    @cached_property
    def tag_tokens(self) -> frozenset[str]:
        """Texts of all added tokens, the tags of thinking and tools among them."""
        return longer_than_one(token.content for token in self._tokenizer.get_added_tokens_decoder().values())

    def encode_prompt(self, text: str) -> list[int]:
        """Return the ids of a rendered prompt, in which some tokens may be marked as text."""
        return encode_marked(text, self.encode)

    @cached_property
    def longest_token(self) -> int:
        """Characters of the longest token: a text of more than so many a token cannot fit."""
        return max(map(len, self._tokenizer.get_vocab()))

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of ids."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    @cached_property
    def token_bytes(self) -> list[bytes] | None:
        """The bytes of every token, by id; None for a vocabulary that is not byte-level."""
        return bytes_of_tokens(self._tokenizer) if is_byte_level(self._tokenizer) else None

    @cached_property
    def special_token_ids(self) -> frozenset[int]:
        """Ids that decoding leaves out: control tokens, but not the tags of thinking and tools."""
        added = self._tokenizer.get_added_tokens_decoder()
        return frozenset(token_id for token_id, token in added.items() if token.special)

    def token_text(self, token_id: int) -> str:
        """Return one token as text for logprobs: itself where it decodes, else its vocabulary entry."""
        known = self._token_texts.get(token_id)
        if known is None:
            known = self._token_texts[token_id] = self._read_token(token_id)
        return known

    def _read_token(self, token_id: int) -> str:
        text = self.decode([token_id], skip_special_tokens=False)
        if text and "\ufffd" not in text:
            return text
        return str(self._tokenizer.id_to_token(token_id) or text)

    def bytes_of(self, token_id: int) -> bytes:
        """Return what a token adds to the bytes of a text: a part of a character, for some."""
        known = self.token_bytes
        return known[token_id] if known is not None and token_id < len(known) else self.token_text(token_id).encode()

    def id_of(self, token: str) -> int | None:
        """Return the id of a vocabulary entry."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def stream(self, skip_special_tokens: bool) -> Detokenizer:
        """Return an incremental detokenizer for one sequence."""
        return Detokenizer(self._tokenizer, skip_special_tokens)

    @cached_property
    def stop_token_ids(self) -> frozenset[int]:
        """Ids that end an answer: every source's eos, and the end of a turn (config.json's alone would run on)."""
        found: set[int] = set()
        for value in (self._model_eos, self._generation.get("eos_token_id")):
            found.update([value] if isinstance(value, int) else value or [])
        for token in (_content(self._settings.get("eos_token")), END_OF_TURN):
            token_id = self.id_of(token) if token else None
            if token_id is not None:
                found.add(token_id)
        return frozenset(found)

    @cached_property
    def bos_token(self) -> str:
        """The text of the beginning-of-sequence token, for chat templates."""
        return _content(self._settings.get("bos_token")) or ""

    @cached_property
    def eos_token(self) -> str:
        """The text of the end-of-sequence token, for chat templates."""
        return _content(self._settings.get("eos_token")) or ""

    @property
    def chat_template(self) -> str | None:
        """The template inside tokenizer_config.json, where it stands there."""
        template = self._settings.get("chat_template")
        return template if isinstance(template, str) and template else None


class Detokenizer:
    """Turns ids into text piece by piece; bytes of an unfinished character wait for the rest."""

    def __init__(self, tokenizer: Any, skip_special_tokens: bool) -> None:
        self._tokenizer = tokenizer
        self._skips_special = skip_special_tokens
        self._waiting: list[int] = []
        self._stream: Any = DecodeStream(skip_special_tokens=skip_special_tokens)

    def push(self, token_id: int) -> str:
        """Return the text that this token completes."""
        piece: str | None = self._stream.step(self._tokenizer, token_id)
        self._waiting = [] if piece else [*self._waiting, token_id]
        return piece or ""

    def finish(self) -> str:
        """Return the text of what still waits: whole characters, and replacement characters for halves."""
        ids, self._waiting = self._waiting, []
        text: str = self._tokenizer.decode(ids, skip_special_tokens=self._skips_special) if ids else ""
        return text


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"is not JSON: {error}", where=str(path)) from None
    return content if isinstance(content, dict) else {}


def _content(token: Any) -> str | None:
    """Read a special token in either spelling: its text, or an object that holds it."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None
