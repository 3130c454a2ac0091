"""Names from a configuration in titles, descriptions, Markdown and links, where Grafana would read signs of its own."""

import re
import string
from collections.abc import Mapping
from urllib.parse import quote

#: What a URL may have beside letters and digits: no blank, no quote, no bracket that would end a Markdown link.
_URL = "%:/?#@!&*+,;=~-._"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~-])")
#: What stands for a resource in the links of rules: the templates of :mod:`tocsin.generate.templates`.
_RESOURCE = re.compile(r"\{\{ reReplaceAll .*? \}\}")
_BRACE = '{{ "{" }}'


def plain(text: str) -> str:
    """One line in which Grafana finds no variable: `$x`, `${x}` and `[[x]]` would be replaced."""
    return " ".join(text.replace("$", "\uff04").replace("[[", "[ [").split())


def markdown(text: str) -> str:
    """One line of Markdown that reads as the text."""
    return _MARKDOWN.sub(r"\\\1", plain(text))


def url(text: str) -> str:
    """A URL without what Grafana or Markdown would read."""
    return quote(text, safe=_URL)


def link(template: str, values: Mapping[str, str]) -> str:
    """A link of the configuration; `values` are Grafana's variables or finished text for its placeholders."""
    out = ""
    for literal, placeholder, _, _ in string.Formatter().parse(template):
        out += url(literal)
        if placeholder is not None:
            out += values.get(placeholder, "")
    return out


def of_rule(annotation: str, resource: str) -> str:
    """A link as a rule has it, for Grafana: `resource` stands where the alert's would."""
    return resource.join(url(part.replace(_BRACE, "{")) for part in _RESOURCE.split(annotation))


def placeholders(template: str) -> set[str]:
    """Which placeholders a link has."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
