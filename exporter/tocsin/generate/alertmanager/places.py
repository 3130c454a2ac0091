"""Places in a YAML text where an item of a list can be added without a change to anything that is there.

Nothing is written again: a YAML writer would lose comments, indentation and the form of lists. The text is parsed only
to find offsets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import yaml

_BOM = "\ufeff"


class MergeError(Exception):
    """A file that nothing can be added to, with the line where that shows; trying again without a change is useless."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"{line}: {message}")


class Loader(yaml.SafeLoader):
    """As Alertmanager's reader takes a text, where PyYAML differs: it skips a tab between tokens.

    And what either takes for a date, or for `=`, is text here, because there is no need to know more of it.
    """

    def scan_to_next_token(self) -> None:
        """Skip what stands between tokens."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()


Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in found if tag.rpartition(":")[2] not in ("timestamp", "value")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Place(NamedTuple):
    """Where to add: offset in characters; `lines` of their own, `behind` a line, or `inline` within brackets.

    `column` is that of the new lines; `key` is to be written too, because there is no such list yet.
    """

    offset: int
    form: Literal["lines", "behind", "inline"]
    column: int
    key: str | None = None


@dataclass(frozen=True)
class Text:
    """A YAML document of one mapping."""

    content: str

    @cached_property
    def root(self) -> yaml.MappingNode:
        """Its nodes; MergeError when there is no such mapping."""
        try:
            found = yaml.compose(self.content, Loader)
        except (yaml.YAMLError, RecursionError) as error:
            raise self._unreadable(error) from None
        if not isinstance(found, yaml.MappingNode):
            line = _line(found) if found else 1
            raise MergeError(line, "found no mapping, expected the configuration of an Alertmanager")
        return found

    def _unreadable(self, error: Exception) -> MergeError:
        line, found = 1, "it nested too deep"
        if isinstance(error, yaml.MarkedYAMLError):
            problem = str(error.problem)
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            found = problem.rpartition("found ")[2] if "found " in problem else f"no YAML ({problem})"
        elif isinstance(error, yaml.reader.ReaderError):
            line, found = self.content.count("\n", 0, error.position) + 1, f"the character U+{error.character:04X}"
        return MergeError(line, f"found {found}, expected one document of YAML")

    @property
    def scalars(self) -> Iterator[tuple[int, int]]:
        """Where the text has its scalars: offsets of each one's start and end; MergeError as in :attr:`root`."""
        try:
            for token in self._tokens:
                if isinstance(token, yaml.ScalarToken):
                    yield token.start_mark.index, token.end_mark.index
        except yaml.YAMLError as error:
            raise self._unreadable(error) from None

    @cached_property
    def _tokens(self) -> list[yaml.Token]:
        return list(yaml.scan(self.content, Loader))

    @cached_property
    def _shared(self) -> frozenset[int]:
        """Nodes that more than one place has, by an alias."""
        seen: set[int] = set()
        twice: set[int] = set()
        stack: list[yaml.Node] = [self.root]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                twice.add(id(node))
                continue
            seen.add(id(node))
            stack += _below(node)
        return frozenset(twice)

    def child(self, parent: yaml.MappingNode, key: str) -> yaml.Node | None:
        """The value of a key; None when there is none."""
        return next((value for name, value in parent.value if name.value == key), None)

    def mapping(self, key: str) -> yaml.MappingNode:
        """A mapping at the top; MergeError when there is none."""
        node = self.child(self.root, key)
        if not isinstance(node, yaml.MappingNode) or id(node) in self._shared:
            raise MergeError(_line(node or self.root), f"found no mapping `{key}` of its own, expected one")
        return node

    def place(self, parent: yaml.MappingNode, key: str) -> Place:
        """Where to add an item in front of the list that a key has, or with the key where there is none."""
        node = self.child(parent, key)
        if node is None:
            if any(name.value == "<<" for name, _ in parent.value):
                raise MergeError(_line(parent), f"found `<<` and no `{key}`, expected `{key}` to be written out")
            return self._first(parent, key)
        if id(node) in self._shared:
            raise MergeError(_line(node), f"found an alias of `{key}`, expected a list of its own")
        if isinstance(node, yaml.SequenceNode):
            return self._inside(node) if node.flow_style else self._before(node)
        if isinstance(node, yaml.ScalarNode) and node.start_mark.index == node.end_mark.index and not node.value:
            return self._behind(parent, node, key)
        raise MergeError(_line(node), f"found something else than a list at `{key}`, expected a list")

    def _first(self, parent: yaml.MappingNode, key: str) -> Place:
        """In front of the first key of a mapping."""
        if parent.flow_style:
            return self._after(yaml.FlowMappingStartToken, parent, key)
        first = parent.value[0][0].start_mark
        return Place(self._line_start(first), "lines", first.column, key)

    def _before(self, node: yaml.SequenceNode) -> Place:
        """In front of the first dash: it need not be in the line of its item, which may be an alias of another."""
        mark = self._token(yaml.BlockEntryToken, node).start_mark
        return Place(self._line_start(mark), "lines", mark.column)

    def _inside(self, node: yaml.SequenceNode) -> Place:
        return self._after(yaml.FlowSequenceStartToken, node, None)

    def _after(self, kind: type[yaml.Token], node: yaml.Node, key: str | None) -> Place:
        """Behind the bracket with which a node begins."""
        found = self._token(kind, node)
        line = self.content[: found.start_mark.index].rpartition("\n")[2]
        return Place(found.end_mark.index, "inline", len(line) - len(line.lstrip(" ")) + 2, key)

    def _token(self, kind: type[yaml.Token], node: yaml.Node) -> yaml.Token:
        """The first of its kind in a node, in front of which an anchor or a tag may stand."""
        return next(t for t in self._tokens if isinstance(t, kind) and t.start_mark.index >= node.start_mark.index)

    def _behind(self, parent: yaml.MappingNode, node: yaml.ScalarNode, key: str) -> Place:
        """Under a key that has no value."""
        if parent.flow_style:
            raise MergeError(_line(node), f"found no value at `{key}`, expected a list such as []")
        name = next(name for name, _ in parent.value if name.value == key)
        end = self.content.find("\n", name.end_mark.index)
        column = name.start_mark.column
        return Place(len(self.content), "behind", column) if end < 0 else Place(end + 1, "lines", column)

    def _line_start(self, mark: yaml.Mark) -> int:
        """Offset of the line of a mark, which has to be the first thing in it."""
        start = self.content.rfind("\n", 0, mark.index) + 1
        start += self.content.startswith(_BOM, start)
        if self.content[start : mark.index].strip(" "):
            raise MergeError(
                mark.line + 1, "found something in front of it in the same line, expected a line of its own"
            )
        return start


def _below(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from (name, value)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
