"""`render --as compose`: a Compose file."""

from __future__ import annotations

from typing import Any

import yaml

from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.forms.docker import (
    container_files,
    container_words,
    model_mount,
    passes_by_name,
    published_ports,
    require_container,
)


def render_compose(source: Source) -> str:
    """Return a Compose file beside which the bundle's files lie; raises RecipeError without an image."""
    invocation = source.invocation
    container = require_container(invocation)
    service: dict[str, Any] = {
        "image": _escaped(container.image),
        "command": [_escaped(word) for word in container_words(invocation)],
        "ports": published_ports(invocation),
        "environment": [
            *passes_by_name(invocation),
            *(_escaped(f"{name}={value}") for name, value in invocation.env.items() if value is not None),
        ],
        "volumes": [
            "~/.cache/huggingface:/root/.cache/huggingface",
            *(_escaped(mount) for mount in model_mount(invocation)),
            *(f"./{file}:{path}:ro" for file, path in container_files(invocation).items()),
        ],
        "deploy": {
            "resources": {"reservations": {"devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]}}
        },
    }
    if container.shm_size:
        service["shm_size"] = container.shm_size
    if container.ulimits:
        service["ulimits"] = dict(container.ulimits)
    if container.workdir:
        service["working_dir"] = container.workdir
    text: str = yaml.safe_dump({"services": {"server": service}}, sort_keys=False, allow_unicode=True, width=120)
    return text


def _escaped(text: str) -> str:
    """Return text that Compose does not interpolate."""
    return text.replace("$", "$$")


FORM = Form(render_compose)
