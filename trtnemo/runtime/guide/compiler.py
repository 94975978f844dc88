"""Grammars compiled for one vocabulary, and kept for the next request that asks for the same."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from trtnemo.errors import ConstraintError
from trtnemo.runtime.guide.guide import Guide, first_line

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

LONGEST_GRAMMAR = 1 << 18
LARGEST_MULTIPLE = 100_000
_MULTIPLE = re.compile(r'multipleOf\\*"\s*:\s*([-+0-9.eE]{1,64})')
MOST_KEPT, MOST_KEPT_BYTES = 128, 4 << 20
# llguidance counts its work in steps: these are at most about 0.3 s to compile, and 15 ms a mask
_LEXER_STEPS, _MASK_STEPS, _LEXER_STATES = 5_000_000, 200_000, 50_000


class Vocabulary(Protocol):
    """What a grammar is compiled against."""

    @property
    def token_bytes(self) -> list[bytes] | None:
        """The bytes of every token, by id."""
        ...

    @property
    def special_token_ids(self) -> frozenset[int]:
        """Ids that stand for no text."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ...


class GrammarCompiler:
    """Compiles grammars, each once; safe to use from several threads."""

    def __init__(self, vocabulary: Vocabulary, end_ids: frozenset[int], vocab_size: int) -> None:
        self._vocabulary = vocabulary
        self._end_ids = sorted(end_ids)
        self._size = vocab_size
        self._kept: OrderedDict[str, LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def guide(self, grammar: str) -> Guide:
        """Return a guide at the beginning of a grammar; raises ConstraintError where it cannot be kept."""
        with self._lock:
            matcher = self._kept.get(grammar)
        if matcher is None:
            matcher = self._compile(grammar)  # outside the lock: a step may ask for another one meanwhile
        with self._lock:
            self._keep(grammar, matcher)
            return Guide(matcher.deep_copy(), self._size)

    def _compile(self, grammar: str) -> LLMatcher:
        from llguidance import LLMatcher

        if len(grammar) > LONGEST_GRAMMAR:
            raise ConstraintError(f"the constraint is longer than {LONGEST_GRAMMAR} characters")
        require_small_multiples(grammar)
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits())
        if matcher.is_error():
            raise ConstraintError(f"the constraint cannot be kept: {first_line(matcher.get_error())}")
        return matcher

    def _keep(self, grammar: str, matcher: LLMatcher) -> None:
        self._kept[grammar] = matcher
        self._kept.move_to_end(grammar)
        while len(self._kept) > MOST_KEPT or (len(self._kept) > 1 and sum(map(len, self._kept)) > MOST_KEPT_BYTES):
            self._kept.popitem(last=False)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        from llguidance import LLTokenizer

        tokens = self._vocabulary.token_bytes
        if tokens is None:
            raise ConstraintError("this checkpoint's vocabulary is not byte-level, and answers cannot be constrained")
        padded = [*tokens, *[b""] * (self._size - len(tokens))][: self._size]
        special = sorted(token for token in self._vocabulary.special_token_ids if token < self._size)
        wrapped: Any = _Wrapped(padded, special, self._end_ids[0], self._vocabulary.encode)
        return LLTokenizer(wrapped, eos_token=self._end_ids)


class _Wrapped:
    """A vocabulary in the form that llguidance reads."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(
        self, tokens: Sequence[bytes], special: Sequence[int], end_id: int, encode: Callable[..., Any]
    ) -> None:
        self.tokens, self.special_token_ids, self.eos_token_id = tokens, special, end_id
        self._encode = encode

    def __call__(self, text: str | bytes) -> list[int]:
        found: list[int] = self._encode(text if isinstance(text, str) else text.decode())
        return found


def require_small_multiples(grammar: str) -> None:
    """Refuse `multipleOf` of large numbers: its automaton has as many states, which no limit of llguidance counts."""
    for written in _MULTIPLE.findall(grammar):
        try:
            number = Decimal(written)
        except InvalidOperation:
            continue  # llguidance will say what is wrong with it
        places = max(0, -int(number.normalize().as_tuple().exponent))
        if places > 20 or number.scaleb(places) > LARGEST_MULTIPLE:
            raise ConstraintError(f"multipleOf {written} is more than {LARGEST_MULTIPLE}, counted without its point")


def limits() -> LLParserLimits:
    """Return how much work a grammar may make."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        initial_lexer_fuel=_LEXER_STEPS,
        step_lexer_fuel=_MASK_STEPS,
        max_lexer_states=_LEXER_STATES,
        verbose_errors=False,
    )
