"""YAML text -> plain data, and the line and column of each key and value.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/, section 10.3), not PyYAML's 1.1: ``17:00``,
``NO``, ``on`` and ``2026-12-25`` are strings, ``0777`` is 777. The parser's events are read one at a time, so that
depth and size are bounded before anything grows.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from tocsin.config.faults import ConfigError, Fault, Path, show_path

MAX_BYTES = 4_000_000
MAX_NODES = 100_000
MAX_DEPTH = 64

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, object] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
    | {sign + word: float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}
)
_TAG = "tag:yaml.org,2002:"

Position = tuple[int, int]


@dataclass(frozen=True)
class Document:
    """What a file says, where, and what is wrong with it as YAML (its other parts can still be checked)."""

    data: object
    #: (line, column) of the key and of the value at a path.
    keys: Mapping[Path, Position]
    values: Mapping[Path, Position]
    faults: tuple[Fault, ...] = ()

    def where(self, path: Path, *, key: bool = False) -> Position:
        """Position of the value at the path (or of its key), else of the nearest thing around it that is there."""
        places = self.keys if key and path in self.keys else self.values
        while path and path not in places:
            path = path[:-1]
            places = self.keys if path in self.keys else self.values
        return places.get(path, (1, 1))


@dataclass
class _Node:
    """A scalar, a list of nodes, or a list of pairs of nodes; `open` until its end was read."""

    kind: str
    at: Position
    value: Any = None
    open: bool = True
    children: list["_Node"] = field(default_factory=list)


def parse(content: bytes, file: str) -> Document:
    """Read one YAML document; ConfigError when it is not whole or not YAML, with what ends the reading."""
    [document] = _Reader(file).read(content, most=1)
    return document


def parse_all(content: bytes, file: str) -> list[Document]:
    """Read all YAML documents of a file, at least one; those without content are left out. ConfigError as above."""
    return _Reader(file).read(content)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, _Node] = {}
        self.faults: list[Fault] = []
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self.nodes = 0

    def read(self, content: bytes, most: int | None = None) -> list[Document]:
        text = self.decode(content)
        try:
            roots = list(self.roots(yaml.parse(text, Loader=_LOADER), most))
        except yaml.YAMLError as error:
            self.syntax(error)
        if most is None:
            roots = [root for root in roots if root.kind != "scalar" or root.value is not None]
        if not roots:
            self.stop((1, 1), "found an empty file, expected a mapping of settings")
        return [self.data(root) for root in roots]

    def data(self, root: _Node) -> Document:
        self.keys, self.values, known = {}, {}, len(self.faults)
        data = self.plain(root, ())
        return Document(data, self.keys, self.values, tuple(self.faults[known:]))

    def stop(self, at: Position, message: str, path: Path = ()) -> NoReturn:
        raise ConfigError([*self.faults, Fault(self.file, *at, show_path(path), message)]) from None

    def decode(self, content: bytes) -> str:
        if len(content) > MAX_BYTES:
            self.stop((1, 1), f"found more than {MAX_BYTES} bytes, expected fewer")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = content[: error.start].decode("utf-8-sig")
            byte = content[error.start]
            self.stop(_end_of(before), f"found the byte 0x{byte:02x}, expected text in UTF-8")
        if match := _UNPRINTABLE.search(text):
            self.stop(_end_of(text[: match.start()]), f"found the character {match[0]!r}, expected printable text")
        return text

    def syntax(self, error: yaml.YAMLError) -> NoReturn:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = ", ".join(str(part) for name in ("context", "problem") if (part := getattr(error, name, None)))
        self.stop((mark.line + 1, mark.column + 1) if mark else (1, 1), f"found no YAML ({problem}), expected YAML 1.2")

    def roots(self, events: Iterator[yaml.Event], most: int | None) -> Iterator[_Node]:
        count = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if count == most:
                    self.stop(_at(event), "found a second document, expected one document in a file")
                count += 1
                # An alias knows the anchors of its own document.
                self.anchors.clear()
                yield self.node(next(events), events, 0)

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> _Node:
        if depth > MAX_DEPTH:
            self.stop(_at(event), f"found more than {MAX_DEPTH} levels, expected fewer")
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        kind = type(event).__name__.removesuffix("Event").removesuffix("Start").lower()
        node = _Node(kind, _at(event))
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self.anchors[event.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.value = self.scalar(event)
        else:
            self.tag(event, "seq" if kind == "sequence" else "map")
            end = yaml.SequenceEndEvent if kind == "sequence" else yaml.MappingEndEvent
            while not isinstance(child := next(events), end):
                node.children.append(self.node(child, events, depth + 1))
        node.open = False
        return node

    def alias(self, event: yaml.AliasEvent) -> _Node:
        node = self.anchors.get(event.anchor or "")
        if node is None:
            self.stop(_at(event), f"found the alias *{event.anchor}, expected &{event.anchor} before it")
        if node.open:
            self.stop(_at(event), f"found the alias *{event.anchor} inside &{event.anchor}, expected no recursion")
        return node

    def tag(self, event: yaml.Event, *known: str) -> str | None:
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!" and tag not in {_TAG + name for name in known}:
            self.stop(_at(event), f"found the tag {tag.replace(_TAG, '!!')}, expected a plain value")
        return tag

    def scalar(self, event: yaml.ScalarEvent) -> object:
        if any("\ud800" <= c <= "\udfff" for c in event.value):
            self.stop(_at(event), "found half of a surrogate pair, expected a whole character")
        tag = self.tag(event, "str", "int", "float", "bool", "null")
        if tag in (None, "!"):
            return _resolve(event.value) if event.implicit[0] and tag is None else event.value
        value = event.value if tag == _TAG + "str" else _resolve(event.value)
        kind = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}[tag.removeprefix(_TAG)]
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            self.stop(_at(event), f"found {event.value!r}, expected what the tag {tag.replace(_TAG, '!!')} says")
        return value

    def plain(self, node: _Node, path: Path) -> object:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.stop(node.at, f"found more than {MAX_NODES} values (aliases count each time), expected fewer")
        if len(path) > MAX_DEPTH:
            self.stop(node.at, f"found more than {MAX_DEPTH} levels, expected fewer")
        self.values[path] = node.at
        if node.kind == "sequence":
            return [self.plain(child, (*path, i)) for i, child in enumerate(node.children)]
        return self.mapping(node, path) if node.kind == "mapping" else node.value

    def mapping(self, node: _Node, path: Path) -> dict[str, object]:
        out: dict[str, object] = {}
        for key, value in zip(node.children[::2], node.children[1::2], strict=True):
            if (message := self.bad_key(key, out, path)) is None:
                name = str(key.value)
                self.keys[(*path, name)] = key.at
                out[name] = self.plain(value, (*path, name))
            else:
                at = (*path, key.value) if isinstance(key.value, str) else path
                self.faults.append(Fault(self.file, *key.at, show_path(at), message))
        return out

    def bad_key(self, key: _Node, seen: Mapping[str, object], path: Path) -> str | None:
        if not isinstance(key.value, str):
            what = {"sequence": "a list", "mapping": "a mapping"}.get(key.kind) or _yaml_word(key.value)
            return f"found {what} as a key, expected text (put it in quotes)"
        if key.value in seen:
            line = self.keys[(*path, key.value)][0]
            return f"found the key {key.value!r} again, expected it once (it is on line {line} already)"
        if key.value == "<<":
            return "found the unknown key '<<', expected the keys themselves (YAML 1.2 has no merge key)"
        return None


def _at(event: yaml.Event) -> Position:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _end_of(text: str) -> Position:
    """Position of the character after this text."""
    lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)
    return len(lines), len(lines[-1]) + 1


def _resolve(text: str) -> object:
    """Value of a plain scalar in the core schema; integers beyond 64 bits are floats, as in JSON."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if len(text) <= 18:
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        return float(text) if text[:2] not in ("0o", "0x") else text
    return float(text) if _FLOAT.fullmatch(text) else text


def _yaml_word(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
