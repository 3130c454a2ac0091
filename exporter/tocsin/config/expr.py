"""PromQL expressions, as far as the parser can tell."""

import re

import promql_parser

#: The parser recurses without a bound of its own, and a program that overflows its stack is gone. What it was seen to
#: read on a stack of 2 MB is twice this.
MAX_TOKENS = 1000

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`', re.DOTALL)
_STRING_OR_COMMENT = re.compile(rf"{_STRING.pattern}|[ \t]*#[^\n]*", re.DOTALL)
_TOKEN = re.compile(r"[\w.:]+|[^\s\w]")
#: Prometheus before 3.0 calls it so; the parser knows the newer name only.
_OLD_NAME = re.compile(r"\bholt_winters(?=\s*\()")
#: Modifiers of Prometheus' extended range selectors, which the parser does not know.
_EXTENDED = re.compile(r"\b(?:anchored|smoothed)\b")


def tokens(expr: str) -> int:
    """Words and signs of an expression, a string literal being one of each."""
    return len(_TOKEN.findall(_STRING.sub("x", expr)))


def uncommented(expr: str) -> str:
    """The expression without comments, which would swallow what is written behind it in the same line."""
    return _STRING_OR_COMMENT.sub(lambda match: match[0] if match[0][0] in "\"'`" else "", expr).strip()


def masked(expr: str) -> str:
    """The expression with an x for each sign inside a string or a comment."""
    return _STRING_OR_COMMENT.sub(lambda match: "x" * len(match[0]), expr)


def outside_strings(pattern: re.Pattern[str], new: str, expr: str) -> str:
    """The expression with what the pattern finds replaced, except in strings and comments."""
    out, end = "", 0
    for match in pattern.finditer(masked(expr)):
        out += expr[end : match.start()] + new
        end = match.end()
    return out + expr[end:]


def parse(expr: str) -> promql_parser.Expr:
    """The tree of an expression of at most MAX_TOKENS; ValueError with the parser's words."""
    return promql_parser.parse(_readable(expr))


def fault(expr: str) -> str | None:
    """What is wrong with an expression that should give a vector, or None."""
    if (count := tokens(expr)) > MAX_TOKENS:
        return f"found {count} words and signs, expected at most {MAX_TOKENS}: record parts of it by a rule"
    try:
        kind = _kind(parse(expr))
    except ValueError as error:
        return f"found no PromQL ({str(error).rstrip('.')}), expected an expression that gives a vector"
    return None if kind == "a vector" else f"found {kind}, expected an expression that gives a vector"


def selector_fault(text: str) -> str | None:
    """What is wrong with a text that should be one plain selector, without range, offset or @; None when nothing is."""
    expected = 'expected a selector such as requests_total{code=~"5.."}'
    if message := fault(text):
        return f"{message.partition(', expected')[0]}, {expected}"
    tree = promql_parser.parse(_readable(text))
    if not isinstance(tree, promql_parser.VectorSelector) or tree.offset is not None or tree.at is not None:
        return f"found an expression, {expected}"
    return None


def raw_counter(expr: str) -> str | None:
    """Name of the metric when the expression is nothing but a counter, which only ever grows; None otherwise."""
    tree = parse(expr)
    while isinstance(tree, promql_parser.ParenExpr):
        tree = tree.expr
    if isinstance(tree, promql_parser.VectorSelector) and tree.name and tree.name.endswith("_total"):
        return str(tree.name)
    return None


def _readable(expr: str) -> str:
    """The expression in words that the parser knows; what is inside strings stays."""
    plain = _STRING.sub(lambda m: m[0][0] + "x" * (len(m[0]) - 2) + m[0][-1], expr)
    if not (_OLD_NAME.search(plain) or _EXTENDED.search(plain)):
        return expr
    out, end = "", 0
    for match in _STRING.finditer(expr):
        out += _modern(expr[end : match.start()]) + match[0]
        end = match.end()
    return out + _modern(expr[end:])


def _modern(code: str) -> str:
    return _EXTENDED.sub("", _OLD_NAME.sub("double_exponential_smoothing", code))


def _kind(tree: promql_parser.Expr) -> str:
    """What the expression gives: an operator gives a vector where one of its sides does."""
    kinds = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, promql_parser.BinaryExpr):
            stack += [node.lhs, node.rhs]
        elif isinstance(node, promql_parser.ParenExpr | promql_parser.UnaryExpr):
            stack.append(node.expr)
        else:
            kinds.add(_leaf(node))
    return "a vector" if "a vector" in kinds else min(kinds)


def _leaf(node: promql_parser.Expr) -> str:
    if isinstance(node, promql_parser.Call):
        return "a scalar" if node.func.return_type == promql_parser.ValueType.Scalar else "a vector"
    if isinstance(node, promql_parser.NumberLiteral):
        return "a scalar"
    if isinstance(node, promql_parser.StringLiteral):
        return "a string"
    if isinstance(node, promql_parser.MatrixSelector | promql_parser.SubqueryExpr):
        return "a range selector"
    return "a vector"
