"""What a recipe says to a server that is not ours, in that server's own words."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from trtnemo.recipe.shared import RecipePart

NativeOptions = dict[str, Any]
_SECRET = re.compile(r"(TOKEN|KEYS?|SECRETS?|PASSWORDS?|PASSWD|CREDENTIALS?)$")  # TOKENS are counted, not hidden


def is_secret(name: str) -> bool:
    """Return whether an environment variable holds a secret, by its name."""
    return bool(_SECRET.search(name.upper()))


def _environment(variables: dict[str, str | None]) -> dict[str, str | None]:
    for name, value in variables.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!r} is no name of an environment variable")
        if value is not None and is_secret(name):
            raise ValueError(f"{name} is a secret: give its name alone (null), its value is passed on from your shell")
    return variables


Environment = Annotated[dict[str, str | None], AfterValidator(_environment)]
_ENVIRONMENT: Any = Field(default_factory=dict, description="environment variables; null passes one on by name")
_IMAGE: Any = Field(None, pattern=r"^[\w.][\w./:@-]*$", description="container image")


class ContainerOptions(RecipePart):
    """How a container engine starts the image."""

    shm_size: str | None = Field(None, pattern=r"^\d+[bkmgBKMG]?$", description="size of /dev/shm, such as 16g")
    ulimits: dict[str, int] = Field(default_factory=dict, description="limits by name, such as memlock: -1")
    workdir: str | None = Field(None, pattern=r"^/[\w./-]*$", description="working directory in the container")


class TrtllmSection(RecipePart):
    """What stands verbatim in trtllm-serve's own words."""

    version: str = Field("1.3.0rc12", description="TensorRT-LLM version that the command is written for")
    image: str | None = _IMAGE
    container: ContainerOptions = Field(default_factory=ContainerOptions)
    llm_args: NativeOptions = Field(default_factory=dict, description="the YAML that TensorRT-LLM reads")
    args: NativeOptions = Field(default_factory=dict, description="trtllm-serve options, without dashes")
    env: Environment = _ENVIRONMENT


class VllmSection(RecipePart):
    """What stands verbatim in vLLM's own words."""

    version: str = Field("0.20.0", description="vLLM version that the command is written for")
    image: str | None = _IMAGE
    container: ContainerOptions = Field(default_factory=ContainerOptions)
    args: NativeOptions = Field(default_factory=dict, description="`vllm serve` options, without dashes")
    env: Environment = _ENVIRONMENT


class SglangSection(RecipePart):
    """What stands verbatim in SGLang's own words."""

    version: str | None = Field(None, description="SGLang version; absent where only an image is pinned")
    image: str | None = _IMAGE
    container: ContainerOptions = Field(default_factory=ContainerOptions)
    args: NativeOptions = Field(default_factory=dict, description="launch_server options, without dashes")
    env: Environment = _ENVIRONMENT


ExternalSection = TrtllmSection | VllmSection | SglangSection
