"""Pages for people: what they show is text from other people's labels, so it is escaped, and nothing inline runs."""

import base64
import hashlib
from importlib.resources import files

import jinja2
from aiohttp import web
from markupsafe import Markup

from tocsin.core.readable import instant, printable, show


def text_of(name: str) -> str:
    """A file of the folder `templates`."""
    return files("tocsin.web").joinpath("templates", name).read_text("utf-8")


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FunctionLoader(text_of),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["show"] = show
_TEMPLATES.filters["instant"] = instant

#: Most signs of a text in a table.
_LONGEST = 300

_STYLE = text_of("style.css")
_TEMPLATES.globals["style"] = Markup(_STYLE)  # noqa: S704  a file of our own, in which nothing is put

_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
#: Our style, scripts and requests that are ours, and nothing else: no script in the page, no form that is sent.
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def cut(text: str) -> str:
    """One line, not too long, with what cannot be seen, or turns the direction of writing, made visible."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def page(name: str, **shown: object) -> web.Response:
    """A template with what it shows; every value is text."""
    text = _TEMPLATES.get_template(name).render(shown)
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _POLICY})
