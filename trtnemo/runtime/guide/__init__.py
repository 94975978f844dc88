"""Constrained answers: which tokens a grammar allows next, by llguidance, which needs no torch."""

from trtnemo.runtime.guide.compiler import GrammarCompiler
from trtnemo.runtime.guide.guide import Guide

__all__ = ["GrammarCompiler", "Guide"]
