"""A recipe of one version of its server, written for another: what changes, and the text that says it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trtnemo.errors import RecipeError
from trtnemo.findings import Finding
from trtnemo.launch.check import check_recipe
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.options.checking import unknown_option
from trtnemo.launch.options.llm_args import check_llm_args
from trtnemo.launch.servers.spelling import spellings_of
from trtnemo.launch.servers.surface import Surface, choose_surface
from trtnemo.recipe import AnyRecipe, ExternalRecipe, load_recipe
from trtnemo.recipe.edit import RecipeText
from trtnemo.recipe.load import validate
from trtnemo.recipe.source import locate, parse


@dataclass(frozen=True)
class Change:
    """One thing that another version changes: of what kind, about what, and in words.

    Kinds: written (the text has it), left (to whoever knows better), default (an option that is not given acts
    otherwise), finding and solved (a finding of `check` that the other version adds or takes away).
    """

    kind: str
    subject: str
    sentence: str


@dataclass(frozen=True)
class Upgrade:
    """A recipe's text for another version, what changes, and what `check` still finds in it."""

    text: str
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    checked_against: str


def upgrade_recipe(name: str, version: str) -> Upgrade:
    """Return a recipe written for another version of its server.

    Raises RecipeError for a recipe of our own runtimes, for a version that is none, and for one that it has already.
    """
    path = locate(name)
    recipe = load_recipe(path)
    if not isinstance(recipe, ExternalRecipe):
        raise RecipeError(f"runtime '{recipe.runtime}' is our own: it has no version to name", where=str(path))
    before, after = (choose_surface(recipe.runtime, given) for given in (recipe.section.version, version))
    if recipe.section.version == version:
        raise RecipeError(f"is written for {version} already", where=str(path))
    text = RecipeText(path.read_text(encoding="utf-8"))
    written = [*_versions(text, recipe, version), *_gone(text, recipe, before.surface, after.surface)]
    upgraded = validate(parse(text.text, str(path)))
    old, new = (_findings(item) for item in (recipe, upgraded))
    if not after.is_exact:
        sentence = f"there is no record of it: compared with {after.surface.title}"
        written.append(Change("left", f"{recipe.runtime}.version", sentence))
    changes = [*written, *_defaults(recipe, before.surface, after.surface), *_told(old, new)]
    return Upgrade(text.text, tuple(changes), tuple(new), after.surface.title)


def default_output(name: str, version: str) -> Path:
    """Return where an upgraded recipe is written: beside nothing of ours, in the working directory."""
    return Path(f"{Path(name).stem}-{version}.yaml")


def _versions(text: RecipeText, recipe: ExternalRecipe, version: str) -> Iterator[Change]:
    """Write the version, and the image's tag where it is the old version."""
    section, old = recipe.section, recipe.section.version
    place = (recipe.runtime, "version")
    text.put(place, f"'{version}'" if version.count(".") < 2 else version)
    yield Change("written", ".".join(place), f"{old} becomes {version}")
    if section.image is None:
        return
    name, colon, tag = section.image.rpartition(":")
    if old is not None and colon and tag.removeprefix("v") == old:
        image = f"{name}:{tag.replace(old, version)}"
        text.put((recipe.runtime, "image"), image)
        yield Change("written", f"{recipe.runtime}.image", f"{section.image} becomes {image}")
    else:
        yield Change("left", f"{recipe.runtime}.image", f"{section.image} stays: its tag is not the version")


def _gone(text: RecipeText, recipe: ExternalRecipe, before: Surface, after: Surface) -> Iterator[Change]:
    """Take out options and keys of the file that the old version has and the new one has not."""
    section = recipe.section
    for key in section.args:
        spellings = spellings_of(key)
        known = next((name for name in spellings if before.find(name) is not None), None)
        if known is None or any(after.find(name) is not None for name in spellings):
            continue
        message, remedy = unknown_option(after, known)
        text.take_out((recipe.runtime, "args", key), f"{after.title} has no {known}")
        yield Change("written", known, f"is taken out: {message.partition(';')[0]}. {remedy}".strip())
    if section.file_key is None:
        return
    content = section.file_content or {}
    lost = {f.subject for f in check_llm_args(after, content) if f.rule == "unknown-key"}
    had = {f.subject for f in check_llm_args(before, content) if f.rule == "unknown-key"}
    for subject in sorted(lost - had):
        text.take_out((recipe.runtime, section.file_key, *subject.split(".")), f"{after.title} has no such key")
        yield Change("written", subject, f"is taken out: {after.title} has no such key")


def _defaults(recipe: ExternalRecipe, before: Surface, after: Surface) -> Iterator[Change]:
    """Yield the options whose default is another one, where the recipe does not give them."""
    given = set(to_invocation(recipe).options)
    for option in before.options:
        other = after.find(option.name)
        if other is None or option.name in given or option.positional or option.default == other.default:
            continue
        if isinstance(option.default, (bool, int, float, str)) and isinstance(other.default, (bool, int, float, str)):
            yield Change("default", option.name, f"is {other.default!r} where it was {option.default!r}")


def _findings(recipe: AnyRecipe) -> list[Finding]:
    return check_recipe(to_invocation(recipe), recipe).findings


def _told(old: list[Finding], new: list[Finding]) -> Iterator[Change]:
    before, after = ({(finding.rule, finding.subject) for finding in found} for found in (old, new))
    for finding in new:
        if (finding.rule, finding.subject) not in before:
            yield Change("finding", finding.subject, f"{finding.severity}: {finding.text}")
    for finding in old:
        if (finding.rule, finding.subject) not in after:
            yield Change("solved", finding.subject, f"{finding.severity} {finding.rule} is no more")
