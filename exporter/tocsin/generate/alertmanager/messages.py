"""What a notification says: the file of templates that Alertmanager reads, the same bytes for the same services.

The parts are data beside this module: `common.tmpl` once for each medium, whose own file says how a text, a line and a
link of it look. Go's templates cannot hand on what another one made, so nothing can be escaped afterwards: each
medium escapes what a label or an annotation says where it is put in.
"""

import re
from collections.abc import Sequence
from importlib import resources

from tocsin import names
from tocsin.config.models import Service
from tocsin.config.scales import SCALES
from tocsin.generate.render import MARK

#: Where the file is, beside the configuration; and what the configuration lists.
FILE = "templates/tocsin.tmpl"
GLOB = "templates/*.tmpl"

_PLACE = re.compile(r"@([a-z]+)@")
_MEDIA = ("plain", "slack", "teams", "jira", "document", "html")
#: What belongs to no medium, or to one that is made of another.
_MORE = ("shared", "pagerduty")

#: Word joiner, which nobody sees: it ends what would be an address or a markup.
_JOIN = "\\u2060"


def _replace(*pairs: tuple[str, str]) -> str:
    """A pipeline of replacements: RE2 patterns, and what a string literal of Go has to be."""
    return " | ".join(f'reReplaceAll `{pattern}` "{by}"' for pattern, by in pairs)


#: No address in a text becomes a link; what does not show, or turns the direction of writing, is left out.
_ADDRESSES = ((r"://", f":{_JOIN}//"), (r"(?i)(www)\.", f"${{1}}{_JOIN}."), (r"(?i)(mailto):", f"${{1}}{_JOIN}:"))
_HIDDEN = ((r"\p{Cf}+", ""),)
#: 0.25 has no function that trims.
_ENDS = ((r"^\s+|\s+$", ""),)
#: What would be a quotation, a heading or an item of a list.
_FIRST = ((r"(?m)^([-#>|=+])", f"{_JOIN}${{1}}"),)
#: Signs of markup in chats, by others that look like them; what is within a word is none.
_ALIKE = ((r"\x60", "'"), (r"[*]", "\\u2217"), (r"~", "\\u223c"), (r"(?m)(^|[^\pL\pN_])_+", "${1}\\u02cd"))
_MENTIONS = (("@", f"@{_JOIN}"),)

#: What ends an address in some medium, or looks like the end of one.
_IN_URL = "\"'()<>![\\]^`{|}"

_PIPELINES = {
    "url": _replace((r"[\pZ\pC]", "%20"), *((rf"\x{ord(sign):02x}", f"%{ord(sign):02X}") for sign in _IN_URL)),
    "line": _replace((r"[\pZ\p{Cc}]+", " "), *_HIDDEN, *_ENDS, *_ADDRESSES),
    "lines": _replace((r"\s*\n\s*", "\\n"), (r"[\pZ\x00-\x09\x0b-\x1f\x7f-\x9f]", " "), *_HIDDEN, *_ENDS, *_ADDRESSES),
    "slack": _replace(*_ALIKE, *_MENTIONS, *_FIRST, ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")),
    "teams": _replace(*_ALIKE, *_MENTIONS, *_FIRST, (r"([\[\]<!&\\])", f"${{1}}{_JOIN}")),
    "jira": _replace(
        *_FIRST, ("&", "&#38;"), (r"\\", "&#92;"), (r"([\[\]{}!|*_+^~?])", "\\\\${1}"), (r"(?m)(^|\s)-", "${1}\\\\-")
    ),
    # A text of no sign is refused.
    "json": _replace((r'(["\\])', "\\\\${1}"), ("^$", "-")),
}


def file(services: Sequence[Service], version: str, config_hash: str, pages: str | None = None) -> str:
    """The whole file. `pages` is where Tocsin's pages are, as people reach them; without it nothing links there."""
    head = (
        f"{MARK} {version} from the configuration sha256:{config_hash}.\n"
        "# Do not edit: change the configuration and generate it again.\n"
    )
    known = {**_PIPELINES, "words": _words(services), "acknowledge": _acknowledge(pages)}
    parts = [_part(name, known) for name in (*_MORE, *_MEDIA)]
    parts += [_part("common", {**known, "medium": medium}) for medium in _MEDIA]
    return head + "".join(parts)


def _part(name: str, known: dict[str, str]) -> str:
    text = (resources.files(__package__) / "message_templates" / f"{name}.tmpl").read_text(encoding="utf-8")
    return _PLACE.sub(lambda found: known[found[1]], text)


def _acknowledge(pages: str | None) -> str:
    """Set `$link` to the page that shows the open alerts of a group that fires, else to nothing.

    Of a level of escalation these are the alerts that it has escalated, where it names them. The alerts about Tocsin
    itself are not told to it. What a label says is query-escaped, so no medium sees a sign of it.
    """
    if pages is None:
        return '{{- $link := "" -}}'
    common, meta = ".CommonLabels", "|".join(names.META_ALERTS)
    more = {"service": names.SERVICE, "signal": names.SIGNAL, "resource": names.RESOURCE}
    lines = [
        '$link := ""',
        f'if and .Alerts.Firing (not (match "^(?:{meta})$" {common}.{names.ALERTNAME}))',
        f"$name := {common}.{names.ALERTNAME}",
        f"with {common}.{names.ESCALATED}",
        "$name = .",
        "end",
        '$link = printf "alertname=%s" (urlquery $name)',
    ]
    for key, label in more.items():
        lines += [f"with {common}.{label}", f'$link = printf "%s&{key}=%s" $link (urlquery .)', "end"]
    lines += [f'$link = printf "%s/alerts?%s" "{pages}" (reReplaceAll "[+]" "%20" $link)', "end"]
    return "\n".join(f"{{{{- {line} -}}}}" for line in lines)


def _words(services: Sequence[Service]) -> str:
    """Set `$words` to the tier that a severity stands for, where its name does not say how bad it is."""
    lines = [
        f'{{{{- if eq .CommonLabels.severity "{tier}" }}}}{{{{ $words = "{names.TIER_LABELS[tier].lower()}" }}}}'
        f"{{{{ end -}}}}"
        for tier in (1, 2, 3, 4)
    ]
    for scale in ("P0-P3", "P1-P3"):
        theirs = [service.service for service in services if service.severity == scale]
        if not theirs:
            continue
        whose = " ".join(f'"{name}"' for name in theirs)
        for severity, tier in {word: tier for tier, word in enumerate(SCALES[scale].tiers, 1)}.items():
            lines.append(
                f"{{{{- if and (eq .CommonLabels.{names.SERVICE} {whose}) "
                f'(eq .CommonLabels.severity "{severity}") }}}}'
                f'{{{{ $words = "{names.TIER_LABELS[tier].lower()}" }}}}{{{{ end -}}}}'
            )
    return "\n".join(lines)
