"""Writing a recipe in one of the forms."""

from __future__ import annotations

import importlib

from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.render.client_endpoint import client_endpoint
from trtnemo.launch.render.form import ClientForm, Form, Source
from trtnemo.launch.render.names import module_of
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.recipe import AnyRecipe, ExternalRecipe


def find_form(name: str) -> Form | ClientForm:
    """Return the form of a name out of its module."""
    form: Form | ClientForm = importlib.import_module(f"{__package__}.{module_of(name)}").FORM
    return form


def is_manifest(name: str) -> bool:
    """Return whether a form is objects of Kubernetes."""
    return getattr(find_form(name), "is_manifest", False)


def start_for(name: str, recipe: AnyRecipe) -> Invocation | None:
    """Return the start that a form is written from, None for a client of our own server; raises RecipeError."""
    form = find_form(name)
    needs_none = isinstance(form, ClientForm) and not form.external_only and not isinstance(recipe, ExternalRecipe)
    return None if needs_none else to_invocation(recipe)


def render(
    name: str, recipe_name: str, recipe: AnyRecipe, invocation: Invocation | None, devices_per_node: int = 8
) -> str:
    """Return the text of one form; the same recipe always gives the same text. Raises RecipeError where it has none."""
    form = find_form(name)
    if isinstance(form, ClientForm):
        return form.write(recipe, client_endpoint(recipe, invocation))
    return form.write(Source(recipe_name, recipe, invocation or to_invocation(recipe), devices_per_node))
