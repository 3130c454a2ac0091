"""Logging for every command: one line per event, for people or for machines."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import click
import structlog

LEVELS = ("debug", "info", "warn", "error")


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options --log.level and --log.format."""
    command = click.option(
        "--log.format", "log_format", type=click.Choice(["logfmt", "json"]), default="logfmt", show_default=True
    )(command)
    return click.option("--log.level", "log_level", type=click.Choice(LEVELS), default="info", show_default=True)(
        command
    )


def configure(level: str = "info", form: str = "logfmt") -> None:
    """Send structured logs to standard error."""
    renderer: Any = structlog.processors.JSONRenderer()
    if form == "logfmt":
        renderer = structlog.processors.LogfmtRenderer(key_order=["ts", "level", "msg"], bool_as_flag=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}[level]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
