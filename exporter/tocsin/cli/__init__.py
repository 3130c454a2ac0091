"""The command line: one file per group of verbs, and the only place where objects are wired."""

from importlib import import_module

import click

from tocsin import __version__

#: Verb -> where it is. Imported when it is used: `tocsin check` need not wait for scipy, nor `--help` for anything.
_VERBS = {
    "try": "first:try_",
    "init": "first:init",
    "check": "check:check",
    "serve": "serve:serve",
    "exporter": "serve:exporter",
    "explain": "explain:explain",
    "generate": "generate:generate",
    "import": "import_:import_",
    "simulate": "simulate:simulate",
    "kill-switch": "kill_switch:kill_switch",
    "audit": "audit:audit",
    "release": "release:release",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "principal": "principal:principal",
    "demo": "demo:demo",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's own signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  likewise
        if cmd_name not in _VERBS:
            return None
        module, _, attribute = _VERBS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tocsin")
def main() -> None:
    """Grade what a Prometheus sees, forecast when capacity runs out, tell the right person.

    Begin with `tocsin try URL EXPR`, then `tocsin init --prometheus URL`.
    """
