"""How a command that could not do its work says so: FAILED and the reason, exit status 1."""

from typing import Any

import click


class Failed(click.ClickException):
    """Ends the command with exit status 1; the message is the reason."""

    def show(self, file: Any = None) -> None:  # noqa: ANN401, ARG002  click's own signature
        """Print the reason to standard error."""
        click.echo(f"FAILED: {self.message}", err=True)
