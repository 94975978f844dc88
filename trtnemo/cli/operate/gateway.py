"""`trtnemo gateway`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.gateway.options import GatewayOptions


@click.command()
@click.option("--upstream", "upstreams", multiple=True, required=True, help="Address of a server; repeatable.")
@click.option("--host", help="Address to bind.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 lets the system choose.  [default: 8080]")
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    help="File of `name: key` lines, mode 0600; every request needs one of the keys.",
)
@click.option("--upstream-key", help="Variable whose value the upstreams are given as their key.")
@click.option("--metrics-open", is_flag=True, help="Answer /metrics without a key.")
@click.option("--insecure", is_flag=True, help="Allow listening beyond this machine without keys.")
@click.option("--access-log", type=click.Choice(["off", "text", "json"]), help="A line for each request, on stderr.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change another setting, such as most_requests=512. Repeatable.",
)
def gateway(settings: tuple[str, ...], **given: Any) -> None:
    """Put keys, limits and bounds before servers that have none.

    Requests are passed on byte for byte to the server that has the fewest, of those that are ready: health is open, and
    a token was seen lately. Clients are told with 503 where none is, and with an error event where one is lost amid a
    stream. Keys of clients go no further. Runs until SIGTERM or Ctrl-C; a second one ends it.
    """
    import logging

    from trtnemo.endpoint import hold_leash
    from trtnemo.gateway.serve import serve_gateway

    hold_leash()

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level="WARNING")
    options = _options(settings, given)
    serve_gateway(options, lambda url: click.echo(f"Gateway at {url}"), lambda line: click.echo(line, err=True))


def _options(settings: tuple[str, ...], given: dict[str, Any]) -> GatewayOptions:
    import yaml
    from pydantic import ValidationError

    from trtnemo.gateway.options import GatewayOptions
    from trtnemo.recipe.nearest import suggestion
    from trtnemo.validation import first_fault

    chosen = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    # 0 is a port, and equal to False
    values = {name: value for name, value in chosen.items() if value is not None and value is not False}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE, not '{setting}'")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UsageError("is no value", where=f"--set {name}") from None
    try:
        return GatewayOptions(**values)
    except ValidationError as error:
        fault = first_fault(error)
        known = suggestion(fault.key, list(GatewayOptions.model_fields)) if fault.is_unknown_key else ""
        names = ", ".join(GatewayOptions.model_fields)
        known = known or f"; there are: {names}"
        what = f"there is no setting '{fault.key}'{known}" if fault.is_unknown_key else f"'{fault.key}' {fault.message}"
        raise UsageError(what) from None
