"""``colega``: the command line. Each command is a sentence; its help is its documentation."""

import contextlib
import json
import os
import ssl
import sys
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services import trust
from services.cli import terminal
from services.cli.client import Client
from services.cli.service import ServiceError, Unreachable
from services.errors import CannotStart, ColegaError, Unavailable
from services.settings.service import ClientSettings, Environment, Home, Telling
from services.version import __version__

DEFAULT_URL = "http://127.0.0.1:8000"


class Exit(IntEnum):
    """How a command ends."""

    OK = 0
    SOME_REJECTED = 1
    """Done with rejected items; of ``verify``: different people."""
    REFUSED = 2
    """Usage, or refused input."""
    UNREACHABLE = 3
    """The service cannot be reached, or failed."""


@dataclass(slots=True)
class Context:
    """What every command is given."""

    environment: Environment
    collection: str = "default"

    def client(self, collection: str | None = None) -> Client:
        """The service that the environment names, or the one that runs in the data folder.

        Raises:
            Unreachable: No service is named anywhere.
        """
        settings = self.environment.load(ClientSettings)
        local = self._local()
        url = settings.url or local.get("url") or DEFAULT_URL
        key = settings.api_key.get_secret_value() if settings.api_key is not None else local.get("api_key")
        if not key:
            raise Unreachable(
                f"No API key: set COLEGA_API_KEY, or start a service here with `colega up` (looked for "
                f"{self.environment.load(Home).data / 'instance.json'})."
            )
        return Client(str(url), str(key), collection=collection or self.collection, trust=self._trust(str(url), local))

    def _trust(self, url: str, local: dict[str, Any]) -> ssl.SSLContext | None:
        """Of the service that runs in the data folder its own certificate and no other; else what the settings name."""
        if local.get("certificate") and url.rstrip("/") == local.get("url"):
            try:
                return trust.only(Path(local["certificate"]))
            except (OSError, ValueError) as error:
                raise Unreachable(
                    f"The certificate {local['certificate']} of the service cannot be read: {error}."
                ) from None
        ca_file = self.environment.load(Telling).ca_file
        return None if ca_file is None else trust.trusting(ca_file)

    def _local(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.environment.load(Home).data / "instance.json").read_text("utf-8"))
            return found
        return {}


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Collection = Annotated[str, typer.Option("--collection", help="Whom it is about.", metavar="C")]

colega = typer.Typer(
    name="colega",
    help="Which colleague is this?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@colega.callback()
def begin(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Which colleague is this?"""
    if version:
        terminal.say(f"colega {__version__}")
        raise typer.Exit
    context.obj = Context(Environment.of_process())


def register() -> None:
    """Add every group of commands."""
    from services.cli import (  # noqa: PLC0415 - they use what is above
        auditing,
        backing,
        checking,
        collections,
        erasing,
        evaluating,
        faces,
        jobs,
        keys,
        live,
        models,
        people,
        privacy,
        rebuilding,
        sealing,
        searching,
        serving,
        status,
        training,
        webhooks,
    )

    groups = (
        serving,
        searching,
        live,
        people,
        faces,
        erasing,
        privacy,
        collections,
        jobs,
        training,
        evaluating,
        models,
        rebuilding,
        status,
        checking,
        backing,
        keys,
        sealing,
        webhooks,
        auditing,
    )
    for group in groups:
        group.register(colega)


def main() -> None:
    """The console script."""
    register()
    try:
        colega()
    except (ServiceError, ColegaError) as error:
        terminal.complain(f"colega: {error}")
        sys.exit(_status(error))
    except KeyboardInterrupt:
        terminal.complain("colega: stopped. The same command goes on where it was.")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)


def _status(error: ColegaError) -> Exit:
    if isinstance(error, ServiceError):
        return Exit.REFUSED if error.status < 500 else Exit.UNREACHABLE
    return Exit.UNREACHABLE if isinstance(error, (Unavailable, CannotStart)) else Exit.REFUSED


def existing(path: Path) -> Path:
    """*path*, which must be there.

    Raises:
        typer.BadParameter: It is not.
    """
    if not path.exists():
        raise typer.BadParameter(f"{path} is not there.")
    return path


if __name__ == "__main__":
    main()
