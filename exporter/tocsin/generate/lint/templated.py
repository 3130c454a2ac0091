"""Labels that a template of Prometheus asks of its alert."""

import re

_ACTION = re.compile(r'\{\{((?:"(?:[^"\\]|\\.)*"|`[^`]*`|(?!\}\}).)*)\}\}', re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|/\*.*?\*/', re.DOTALL)
_INDEXED = re.compile(r'\bindex\s+(?:\$labels|\$?\.Labels)\s+(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)')
_DOLLAR = re.compile(r"\$labels\.(\w+)")
#: The alert's own labels at the top of a template; under `range` and `with` the dot is something else.
_DOT = re.compile(r"(?<![\w)$])\.Labels\.(\w+)")
_ROOT = re.compile(r"\$\.Labels\.(\w+)")
_OPENS = re.compile(r"-?\s*(range|with|if|block|define)\b")
_ENDS = re.compile(r"-?\s*end\b")


def labels_used(template: str) -> list[str]:
    """Names in the order of their first use."""
    used: dict[str, None] = {}
    blocks: list[bool] = []
    for action in _ACTION.findall(template):
        used |= dict.fromkeys(one or other for one, other in _INDEXED.findall(action))
        code = _STRING.sub('""', action)
        patterns = [_DOLLAR, _ROOT] if any(blocks) else [_DOLLAR, _ROOT, _DOT]
        found = [match for pattern in patterns for match in pattern.finditer(code)]
        used |= dict.fromkeys(match[1] for match in sorted(found, key=lambda match: match.start()))
        if opened := _OPENS.match(code):
            blocks.append(opened[1] != "if")
        elif _ENDS.match(code) and blocks:
            blocks.pop()
    return list(used)
