"""Templates of annotations, as far as can be told without Prometheus: what its rule loader would refuse.

The language is that of Go's text/template: https://pkg.go.dev/text/template
"""

import re
from collections.abc import Iterator

from tocsin.config.types import describe

#: Functions that Prometheus has from 2.42 on, and those of the language itself.
FUNCTIONS = frozenset(
    {"query", "first", "label", "value", "strvalue", "args", "reReplaceAll", "safeHtml", "match", "title"}
    | {"toUpper", "toLower", "graphLink", "tableLink", "sortByLabel", "stripPort", "stripDomain", "humanize"}
    | {"humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "toTime", "pathPrefix"}
    | {"externalURL", "parseDuration"}
    | {"and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "call"}
    | {"eq", "ne", "lt", "le", "gt", "ge"}
)
#: Functions that came with 3.0 or on the way there.
NEWER = frozenset({"toDuration", "now", "urlQueryEscape"})
#: Variables that an alert has from the start.
VARIABLES = frozenset({"$", "$labels", "$value", "$externalLabels", "$externalURL"})

_OPENS = frozenset({"if", "range", "with", "block", "define"})
_KEYWORDS = _OPENS | {"else", "end", "template", "break", "continue", "true", "false", "nil"}

_COMMENT = re.compile(r"\{\{(?:- )?/\*.*?\*/(?: -)?\}\}", re.DOTALL)
_STRING = r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|' + r"'(?:[^'\\\n]|\\.)'"
_ACTION = re.compile(rf"\{{\{{(?:- )?((?:{_STRING}|(?!\}}\}})[^\"`'])*?)(?: -)?\}}\}}", re.DOTALL)
_STRINGS = re.compile(_STRING)
_DECLARED = re.compile(r"(\$\w*)\s*(?:,\s*(\$\w+)\s*)?:=")
_WORDS = re.compile(r"(?<![\w.$])[^\W\d]\w*")
_STRANGE = re.compile(r"[^\w\s.$|(),:=+-]")


def fault(text: str, *, newer: bool = False) -> str | None:
    """What is wrong with a template, or None; `newer` for a Prometheus of 3.0 or later."""
    scopes: list[tuple[str, set[str]]] = [("", set(VARIABLES))]
    for action in _actions(text):
        if action is None:
            return "found an action that is not closed, expected {{ and }} in pairs, and quotes inside them too"
        if message := _action(_STRINGS.sub('""', action), scopes, FUNCTIONS | NEWER if newer else FUNCTIONS):
            return message
    return None if len(scopes) == 1 else f"found {{{{ {scopes[-1][0]} }}}} without an end, expected {{{{ end }}}}"


def _actions(text: str) -> Iterator[str | None]:
    """What is between the braces of each action; None for one that is not closed."""
    at = 0
    while (at := text.find("{{", at)) >= 0:
        if match := _COMMENT.match(text, at):
            at = match.end()
        elif match := _ACTION.match(text, at):
            yield match[1].strip()
            at = match.end()
        else:
            yield None
            return


def _action(action: str, scopes: list[tuple[str, set[str]]], functions: frozenset[str]) -> str | None:
    word = (_WORDS.match(action) or [""])[0]
    if not action or _STRANGE.search(action.replace('""', "")) or action.count("(") != action.count(")"):
        return f"found {describe('{{ ' + action + ' }}')}, expected an action of the template language"
    if word in ("end", "else") and len(scopes) == 1:
        return f"found {{{{ {word} }}}} outside of if, range and with, expected it inside"
    if word in ("break", "continue") and all(name != "range" for name, _ in scopes):
        return f"found {{{{ {word} }}}} outside of range, expected it inside"
    if word == "end":
        scopes.pop()
        return None
    known = set(scopes[-1][1])
    if word in _OPENS:
        scopes.append((word, known))
    for match in _DECLARED.finditer(action):
        scopes[-1][1].update(name for name in match.groups() if name)
    for name in re.findall(r"\$\w*", action):
        if name not in scopes[-1][1]:
            return f"found the variable {name}, expected one of {', '.join(sorted(VARIABLES))}"
    for name in _WORDS.findall(action):
        if name not in _KEYWORDS and name not in functions:
            return f"found the function {name}, expected one that Prometheus has"
    return None
