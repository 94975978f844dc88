"""Pasted shell text, read and never run: its commands, variables, and the files that it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.shell.command import SHELLS, Command, without_wrappers
from trtnemo.launch.pasted.shell.grammar import faults, parse
from trtnemo.launch.pasted.shell.prepare import prepare
from trtnemo.launch.pasted.shell.words import Expander, Value

if TYPE_CHECKING:
    from tree_sitter import Node

MAXIMUM_BYTES = 1 << 16
_DOCUMENT = re.compile(rb"<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1")
_PYTHON = re.compile(rb"^(?:import \w|from [\w.]+ import |def \w+\(|class \w+[(:])", re.MULTILINE)
_CONDITIONAL = {"if_statement", "while_statement", "for_statement", "c_style_for_statement", "case_statement"}
_MOST_CALLS = 200
_WITHOUT_COMMANDS = {"comment", "test_command", "word", "variable_name", "heredoc_body", "heredoc_start", "heredoc_end"}


@dataclass
class Script:
    """What a text holds: commands, the shell's variables, files that it writes, and findings on its form."""

    commands: list[Command] = field(default_factory=list)
    variables: dict[str, Value] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    exports_all: bool = False


def read_script(text: str, environment: Mapping[str, str] | None = None) -> Script:
    """Return the commands of a shell text that starts with some variables exported.

    Raises UsageError on what is no shell text.
    """
    if len(text.encode("utf-8", "replace")) > MAXIMUM_BYTES:
        raise UsageError(f"the command is longer than {MAXIMUM_BYTES} bytes")
    ready, findings = prepare(text)
    source = ready.encode("utf-8", "replace")
    root = parse(source)
    _require_shell_text(root, source)
    given = {name: Value((value,)) for name, value in (environment or {}).items()}
    script = Script(variables=given, exported=set(given), findings=findings)
    try:
        _Walk(script, source).all_of(root)
    except RecursionError:
        raise UsageError("the text nests too deep to be read", where="--command") from None
    return script


def _require_shell_text(root: Node, source: bytes) -> None:
    """Raise UsageError with the first place that is no shell text."""
    fault = next(faults(root), None)
    if fault is None:
        return
    for match in _DOCUMENT.finditer(source):
        if not re.search(rb"^[ \t]*" + match[2] + rb"[ \t]*$", source[match.end() :], re.MULTILINE):
            raise UsageError(f"the here-document is not closed by {match[2].decode()}", where="--command")
    if _PYTHON.search(source):
        raise UsageError("is Python, which is not read", where="--command", remedy="Paste the command that it runs")
    lines = source.decode("utf-8", "replace").split("\n")
    line = lines[min(fault.start_point[0], len(lines) - 1)].strip()
    raise UsageError(
        f"the command is not valid shell text from line {fault.start_point[0] + 1} on: {line[:80]!r}",
        where="--command",
        remedy="Look for a quote or a bracket that is not closed, and leave out what is no part of the command",
    )


class _Walk:
    """Walks over a syntax tree in the order of the text and keeps what it says in a script."""

    def __init__(self, script: Script, source: bytes) -> None:
        self.script, self.source = script, source
        self.functions: dict[str, Node] = {}
        self.called: list[str] = []

    def all_of(self, root: Node) -> None:
        """Read a whole text; functions that it never calls are read once, as if they might be."""
        self.statement(root, is_conditional=False)
        for name in [name for name in self.functions if name not in self.called]:
            self.statement(self.functions[name], is_conditional=True)

    def _call(self, words: list[str], expander: Expander, is_conditional: bool) -> None:
        """Read a function's body with the words of its call, not more than a few calls deep."""
        name, *arguments = words
        self.called.append(name)
        if len(self.called) > _MOST_CALLS:
            raise UsageError("the text calls its functions too often to be read", where="--command")
        variables, unknown = self.script.variables, tuple(expander.unknown)
        before = dict(variables)
        given = {str(place): (word,) for place, word in enumerate(arguments, start=1)}
        for key, items in {**given, "@": tuple(arguments), "*": tuple(arguments)}.items():
            variables[key] = Value(items, is_array=key in "@*", unknown=unknown)
        self.statement(self.functions[name], is_conditional=is_conditional)
        for key in [*given, "@", "*"]:
            variables.pop(key, None)
            if key in before:
                variables[key] = before[key]

    def statement(self, node: Node, *, is_conditional: bool, document: str | None = None) -> None:
        """Read one statement; `document` is what is written to its standard input."""
        kind = node.type
        if kind == "command":
            self._command(node, is_conditional, document)
        elif kind == "variable_assignment":
            self._assignment(node, is_conditional, self.script.exports_all)
        elif kind == "declaration_command":
            self._declaration(node, is_conditional)
        elif kind == "unset_command":
            for child in node.named_children:
                self.script.variables.pop(self._expander().written(child), None)
        elif kind == "redirected_statement":
            self._redirected(node, is_conditional)
        elif kind == "function_definition":
            self.functions[self._expander().written(node.named_children[0])] = node.named_children[-1]
        elif kind not in _WITHOUT_COMMANDS:
            tests = any(child.type in ("test_command", "||") for child in node.children)
            inside = is_conditional or kind in _CONDITIONAL or tests
            for child in node.named_children:
                self.statement(child, is_conditional=inside, document=document)

    def _expander(self) -> Expander:
        return Expander(self.source, self.script.variables)

    def _command(self, node: Node, is_conditional: bool, document: str | None) -> None:
        expander = self._expander()
        in_front, words = {}, []
        for child in node.named_children:
            if child.type == "variable_assignment":
                name, value = self._assigned(child, expander)
                if name.isidentifier():
                    in_front[name] = value.text
                else:  # the grammar takes `--port=1` for one
                    words.append(f"{name}={value.text}")
            elif child.type == "command_name":
                words += expander.fields(child.named_children[0]) if child.named_children else []
            elif not child.type.endswith("redirect"):
                words += expander.fields(child)
        if document is not None and words[-1:] and "tee" in words[:2]:
            self.script.files[words[-1]] = document
        if document is not None and words and _last_program(words) in SHELLS:
            words = [*words, "-c", document]
        if words and words[0] in self.functions:
            self._call(words, expander, is_conditional)
            return
        self._keep(words, in_front, expander, is_conditional)

    def _keep(self, words: list[str], in_front: dict[str, str], expander: Expander, is_conditional: bool) -> None:
        script = self.script
        if words[:2] in (["set", "-a"], ["set", "-o"]):
            script.exports_all = script.exports_all or words[1:] in (["-a"], ["-o", "allexport"])
        more, rest = without_wrappers(words)
        if not rest:
            return
        exported = {name: script.variables[name].text for name in script.exported & script.variables.keys()}
        given = {**in_front, **more}
        hidden = frozenset(script.variables.keys() - script.exported - given.keys())
        unknown, conditional = (tuple(dict.fromkeys(names)) for names in (expander.unknown, expander.conditional))
        replaced = tuple(dict.fromkeys(expander.replaced))
        script.commands.append(Command(rest, exported, given, hidden, unknown, conditional, replaced, is_conditional))

    def _assigned(self, node: Node, expander: Expander) -> tuple[str, Value]:
        target, *rest = node.named_children
        name = expander.written(target).partition("[")[0]
        inner = Expander(self.source, self.script.variables)
        value = rest[0] if rest else None
        is_array = value is not None and value.type == "array"
        if value is None:
            items = [""]
        elif is_array:
            nodes = [child for child in value.named_children if child.type != "comment"]
            items = [word for child in nodes for word in inner.fields(child)]
        else:
            items = [inner.text(value)]
        expander.unknown += inner.unknown
        return name, Value(tuple(items), is_array, tuple(inner.unknown), bool(inner.conditional), bool(inner.replaced))

    def _assignment(self, node: Node, is_conditional: bool, is_exported: bool) -> None:
        expander = self._expander()
        name, value = self._assigned(node, expander)
        if not name.isidentifier():
            self._keep([f"{name}={value.text}"], {}, expander, is_conditional)
            return
        known = self.script.variables.get(name)
        if any(child.type == "+=" for child in node.children) and known is not None:
            items = (*known.items, *value.items) if value.is_array else (known.text + value.text,)
            unknown = (*known.unknown, *value.unknown)
            is_either = known.is_conditional or value.is_conditional
            value = Value(items, value.is_array, unknown, is_either, known.is_replaced or value.is_replaced)
        adds = any(child.type == "+=" for child in node.children)
        is_replaced = not adds and is_conditional and known is not None and known.is_conditional
        is_conditional = is_conditional or value.is_conditional
        value = replace(value, is_conditional=is_conditional, is_replaced=is_replaced or value.is_replaced)
        self.script.variables[name] = value
        if is_exported:
            self.script.exported.add(name)

    def _declaration(self, node: Node, is_conditional: bool) -> None:
        """Read `export`, `declare`, `local` and their like."""
        words = self._expander().written(node).split()
        is_exported = words[0] == "export" or "-x" in words[1:2] or self.script.exports_all
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assignment(child, is_conditional, is_exported)
            elif child.type == "variable_name" and is_exported:
                self.script.exported.add(self._expander().written(child))

    def _redirected(self, node: Node, is_conditional: bool) -> None:
        """Read a statement with redirections: here-documents, and texts that echo writes, become files."""
        *bodies, _ = [child for child in node.named_children if not child.type.endswith("redirect")] + [None]
        documents = [child for child in node.named_children if child.type == "heredoc_redirect"]
        targets = [self._target(child) for child in node.named_children if child.type == "file_redirect"]
        text = self._document(documents[0]) if documents else None
        if documents:
            inner = documents[0].named_children
            targets += [self._target(child) for child in inner if child.type == "file_redirect"]
        before = len(self.script.commands)
        for body in bodies:
            if body is not None:
                self.statement(body, is_conditional=is_conditional, document=text)
        written = [target for target in targets if target is not None]
        text = text if text is not None else self._echoed(before)
        if text is not None and written:
            target, appends = written[0]
            self.script.files[target] = (self.script.files.get(target, "") if appends else "") + text
        for document in documents:
            for child in document.named_children:
                if child.type not in ("file_redirect", *_WITHOUT_COMMANDS):
                    self.statement(child, is_conditional=is_conditional, document=text)

    def _target(self, node: Node) -> tuple[str, bool] | None:
        """Return the file that a redirection writes, and whether it is added to."""
        operator = next((child.type for child in node.children if not child.is_named), "")
        destination = node.child_by_field_name("destination")
        if destination is None or operator not in (">", ">>", "&>", "&>>", ">|"):
            return None
        return self._expander().text(destination), operator.endswith(">>")

    def _document(self, node: Node) -> str:
        start = next(child for child in node.children if child.type == "heredoc_start")
        body = next((child for child in node.children if child.type == "heredoc_body"), None)
        if body is None:
            return ""
        expander = self._expander()
        is_verbatim = expander.written(start)[:1] in ("'", '"', "\\")
        text = expander.written(body) if is_verbatim else expander.document(body)
        if any(child.type == "<<-" for child in node.children):
            text = "".join(line.lstrip("\t") for line in text.splitlines(keepends=True))
        return text

    def _echoed(self, before: int) -> str | None:
        """Return what the command that was read last writes, where it is echo or printf."""
        if len(self.script.commands) != before + 1 or self.script.commands[-1].words[0] not in ("echo", "printf"):
            return None
        words = [word for word in self.script.commands[-1].words[1:] if word not in ("-e", "-n", "-en", "-ne")]
        return " ".join(words).replace("\\n", "\n") + "\n"


def _last_program(words: list[str]) -> str:
    """Return the program that a line without arguments of its own ends in, as in `sudo -u me bash`."""
    name = PurePosixPath(words[-1]).name
    return name if name in SHELLS or words[0] != "ssh" else "bash"
