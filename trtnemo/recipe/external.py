"""What a recipe says to a server that is not ours, in that server's own words."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from trtnemo.recipe.shared import RecipePart

NativeOptions = dict[str, Any]
# TOKENS are counted, not hidden
_SECRET = re.compile(r"(TOKEN|KEYS?|SECRETS?|PASSWORDS?|PASSWD|PASSPHRASE|CREDENTIALS?|(^|_)(PASS|PWD|TOK))$")
# what a secret looks like by itself: keys of hubs and clouds, a password in an address, a secret's name in JSON
_SECRET_VALUE = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|nvapi-[\w-]{16,}|sk-[\w-]{16,}|gh[pousr]_\w{16,}|AKIA[0-9A-Z]{16})"
    r"|://[^/\s:@]+:[^/\s@$]+@|\"(\w*(api_key|token|password|secret))\"\s*:\s*\"[^\"$]+\""
)


def is_secret(name: str) -> bool:
    """Return whether an environment variable holds a secret, by its name."""
    return bool(_SECRET.search(name.upper()))


def holds_secret(text: str) -> bool:
    """Return whether a value looks like a secret, whatever it is called."""
    return bool(_SECRET_VALUE.search(text))


def _environment(variables: dict[str, str | None]) -> dict[str, str | None]:
    for name, value in variables.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!r} is not a name of an environment variable")
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


class ExternalSection(RecipePart):
    """What a recipe says to one server in that server's own words; `file_key` names the part that is a file's content.

    A server whose section has no more than this needs no class of its own.
    """

    file_key: ClassVar[str | None] = None

    version: str | None = Field(None, description="version that the command is written for")
    image: str | None = _IMAGE
    container: ContainerOptions = Field(default_factory=ContainerOptions)
    args: NativeOptions = Field(default_factory=dict, description="the server's options, without dashes")
    env: Environment = _ENVIRONMENT

    @property
    def file_content(self) -> NativeOptions | None:
        """The content of the file that the server reads, or None where it reads none."""
        return None if self.file_key is None else dict(getattr(self, self.file_key))


class TrtllmSection(ExternalSection):
    """What stands verbatim in trtllm-serve's own words."""

    file_key: ClassVar[str | None] = "llm_args"

    version: str = Field("1.3.0rc12", description="TensorRT-LLM version that the command is written for")
    llm_args: NativeOptions = Field(default_factory=dict, description="the YAML that TensorRT-LLM reads")
    args: NativeOptions = Field(default_factory=dict, description="trtllm-serve options, without dashes")


class VllmSection(ExternalSection):
    """What stands verbatim in vLLM's own words."""

    version: str = Field("0.20.0", description="vLLM version that the command is written for")
    args: NativeOptions = Field(default_factory=dict, description="`vllm serve` options, without dashes")


class SglangSection(ExternalSection):
    """What stands verbatim in SGLang's own words."""

    version: str | None = Field(None, description="SGLang version; absent where only an image is pinned")
    args: NativeOptions = Field(default_factory=dict, description="launch_server options, without dashes")


# The one list of external servers. Each has a folder of its name in launch/servers, which says all else about it.
EXTERNAL: dict[str, type[ExternalSection]] = {
    "trtllm": TrtllmSection,
    "vllm": VllmSection,
    "sglang": SglangSection,
}
