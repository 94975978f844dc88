"""A recipe rendered by the command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from trtnemo.launch.render.names import form_names
from trtnemo.launch.render.write import render, start_for
from trtnemo.recipe import load_recipe

BIN = Path(sys.executable).parent
FORMS = form_names()
SCRIPTS = ("command", "docker", "slurm")


def rendered(form: Any, name: Any = "b200", settings: Any = (), devices_per_node: Any = 8) -> Any:
    recipe = load_recipe(name, settings)
    return render(form, name, recipe, start_for(form, recipe), devices_per_node)


def recipe_image(recipe: Any) -> Any:
    return getattr(recipe, recipe.runtime).image
