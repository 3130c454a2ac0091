"""Our part in somebody's Alertmanager configuration: put in front, and taken out again, without a change to the rest.

What is put in stands between two comments, the first with a digest of it: taken out, the file is what it was, byte for
byte; and what somebody changed between the comments is not lost by accident.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from tocsin.generate.alertmanager.places import Loader, MergeError, Place, Text
from tocsin.generate.render import to_yaml

#: Lists at the top that get items of ours, beside the child of the root route.
LISTS = ("templates", "time_intervals", "receivers", "inhibit_rules")
#: Lists of what has a name; the last one is the old form of the second.
_NAMED = {"receivers": ("receivers",), "time_intervals": ("time_intervals", "mute_time_intervals")}

_BEGIN, _END = "# BEGIN tocsin", "# END tocsin"
_FIRST = rf"{_BEGIN} (?P<what>\w+) (?P<digest>[0-9a-f]{{12}})\r?\n(?P<body>(?:.*\n)*?)"
#: The three forms of a part: within brackets; lines; lines at the end of a text without a last line break.
_FORMS = (
    re.compile(rf"(?<=[\[{{]) {_FIRST}(?P<indent> *){_END} (?P=what)\r?\n(?P=indent)"),
    re.compile(rf"(?:^|(?<=\ufeff))(?P<indent> *){_FIRST}(?P=indent){_END} (?P=what)\r?\n", re.MULTILINE),
    re.compile(rf"\r?\n(?P<indent> *){_FIRST}(?P=indent){_END} (?P=what)\Z"),
)
_ANY = re.compile(rf"# (?:BEGIN|END) tocsin (?:routes|{'|'.join(LISTS)})\b")
#: What JSON writes as it is, and YAML takes for a line break or does not take.
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def merge(existing: str, fragment: Mapping[str, Any]) -> str:
    """The text with our child route in front of the others and our items in front of each list.

    `fragment` has `route`, a child of the root route, and any of LISTS, as plain data. What an earlier merge put in is
    replaced. Raises MergeError.
    """
    before = unmerge(existing)
    text = Text(before)
    _check_names(text, fragment)
    if text.child(text.root, "receivers") is None:
        raise MergeError(text.root.start_mark.line + 1, "found no `receivers`, expected a list of them")
    wanted = [("routes", text.mapping("route"), [fragment["route"]])]
    wanted += [(key, text.root, fragment[key]) for key in LISTS if fragment.get(key)]
    end = "\r\n" if "\r\n" in before else "\n"
    parts = [(text.place(parent, key), key, items) for key, parent, items in wanted]
    # From the back, so that offsets stay what they are; what belongs at the same place keeps its order.
    after, parts = before, parts[::-1]
    for place, key, items in sorted(parts, key=lambda part: -part[0].offset):
        after = after[: place.offset] + _part(place, key, items, end) + after[place.offset :]
    if not _adds(before, after, fragment):
        line = text.mapping("route").start_mark.line + 1
        raise MergeError(line, "found a form that this cannot add to, expected plain YAML; put it in by hand")
    return after


def unmerge(merged: str) -> str:
    """The text without what :func:`merge` put in; MergeError when that was changed or is not whole."""
    text, comments, offsets = merged, _comments(merged), [*range(len(merged))]
    # Within the same brackets one part stands behind the other, so that the next one comes to light.
    while match := next(filter(None, (form.search(comments) for form in _FORMS)), None):
        if _digest(text[slice(*match.span("body"))]) != match["digest"]:
            raise MergeError(
                _line(merged, offsets[match.start("digest")]),
                f"found changes between the comments of {match['what']}, expected what was put in; move them out",
            )
        start, end = match.span()
        text, comments = text[:start] + text[end:], comments[:start] + comments[end:]
        del offsets[start:end]
    if match := _ANY.search(comments):
        line = _line(merged, offsets[match.start()])
        raise MergeError(line, f"found `{match[0]}` without its other end, expected both as they were, or none")
    return text


def _comments(text: str) -> str:
    """The text, as long as it was, with other signs in the scalars that look like comments of ours."""
    if not _ANY.search(text):
        return text
    for start, end in Text(text).scalars:
        if _ANY.search(text, start, end):
            text = text[:start] + text[start:end].replace("#", "_") + text[end:]
    return text


def has_part(text: str) -> bool:
    """Whether something of ours was put in, or what is left of it; MergeError when it is no YAML."""
    return _ANY.search(_comments(text)) is not None


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _digest(body: str) -> str:
    return hashlib.sha256("\n".join(line.strip() for line in body.splitlines()).encode()).hexdigest()[:12]


def _part(place: Place, key: str, items: Sequence[Any], end: str) -> str:
    indent = " " * place.column
    body = "".join(f"{line}{end}" for line in _body(place, items, indent))
    begin, close = f"{_BEGIN} {key} {_digest(body)}", f"{_END} {key}"
    if place.form == "inline":
        return f" {begin}{end}{body}{indent}{close}{end}{indent}"
    if place.form == "behind":
        return f"{end}{indent}{begin}{end}{body}{indent}{close}"
    return f"{indent}{begin}{end}{body}{indent}{close}{end}"


def _body(place: Place, items: Sequence[Any], indent: str) -> Iterator[str]:
    if place.form == "inline":
        rows = [f"{_json(item)}," for item in items]
        yield from (f"{indent}{row}" for row in ([f"{place.key}: [", *rows, "],"] if place.key else rows))
        return
    first, *lines = to_yaml({place.key or "items": items}).splitlines()
    # The writer indents a list by two.
    yield from (indent + line if place.key else indent + line[2:] for line in ([first, *lines] if place.key else lines))


def _json(item: Any) -> str:  # noqa: ANN401  any plain data
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(item, ensure_ascii=False))


def _check_names(text: Text, fragment: Mapping[str, Any]) -> None:
    """Names of ours that are taken would make two of one name."""
    for ours, lists in _NAMED.items():
        names = {item["name"] for item in fragment.get(ours) or ()}
        for key in lists:
            node = text.child(text.root, key)
            for item in node.value if isinstance(node, yaml.SequenceNode) else ():
                name = text.child(item, "name") if isinstance(item, yaml.MappingNode) else None
                if name is not None and name.value in names:
                    line = name.start_mark.line + 1
                    raise MergeError(line, f"found {name.value} in {key}, expected no name that is ours; rename it")


def _adds(before: str, after: str, fragment: Mapping[str, Any]) -> bool:
    """Whether the one is the other with our items in front, as a reader of YAML sees them, and can be undone."""
    try:
        expected, found = (yaml.load(text, Loader) for text in (before, after))  # noqa: S506  a safe one
        expected["route"]["routes"] = [fragment["route"], *(expected["route"].get("routes") or ())]
        for key in LISTS:
            if fragment.get(key):
                expected[key] = [*fragment[key], *(expected.get(key) or ())]
        return bool(found == expected) and unmerge(after) == before
    except (yaml.YAMLError, MergeError, ValueError, KeyError, TypeError, RecursionError):
        # What a tag promises, and its text is not, raises whatever Python does.
        return False
