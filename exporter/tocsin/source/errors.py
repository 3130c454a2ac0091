"""What can go wrong between Tocsin and its source, as one exception that says whether to retry.

:func:`from_answer` turns an HTTP answer that is not a result into such an error. Its sentences are for an operator:
what came back, and which setting is the likely cause.
"""

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

import msgspec

Klass = Literal[
    "timeout",
    "unavailable",
    "bad_query",
    "unauthorized",
    "redirect",
    "bad_response",
    "too_large",
    "too_many_samples",
    "connection",
    "internal",
]

#: Most that is quoted of somebody else's text.
MAX_QUOTE = 300

#: A query that a server finds too big, and that a shorter range may cure: Prometheus' limits of samples (422) and of
#: points (400), VictoriaMetrics' -search.maxPointsPerTimeseries and -search.maxSamplesPerQuery, Mimir's error ids.
_TOO_MANY = re.compile(
    r"too many samples|exceeded maximum resolution|too many points|search\.maxSamples|"
    r"err-mimir-max-[a-z-]*(?:chunk|chunks|query-length)"
)
#: Prometheus whose time runs out while it selects series says so with 422, not 503.
_OUT_OF_TIME = "context deadline exceeded"
_TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)


class SourceError(Exception):
    """The source gave no usable answer.

    ``text`` says what it did ("answered 503, ..."), ``where`` is its address once that is known. ``klass`` is the value
    of the label of ``source_requests_total``; ``retry`` says whether the same request may succeed a moment later.
    """

    def __init__(self, text: str, klass: Klass, *, retry: bool = False, where: str = "the source") -> None:
        super().__init__(text)
        self.text = text
        self.klass: Klass = klass
        self.retry = retry
        self.where = where

    @property
    def message(self) -> str:
        """One sentence for an operator."""
        return f"{self.where} {self.text}"

    def __str__(self) -> str:
        return self.message


class _Failure(msgspec.Struct, gc=False):
    error: str = ""
    errorType: str = ""  # noqa: N815  the API's own spelling


_FAILURE = msgspec.json.Decoder(_Failure)


def quote(text: str, secrets: Iterable[str] = ()) -> str:
    """Foreign text made fit for a message: one line without control characters and secrets, at most MAX_QUOTE long."""
    for secret in secrets:
        text = text.replace(secret, "***")
    plain = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return plain if len(plain) <= MAX_QUOTE else plain[: MAX_QUOTE - 3] + "..."


def page_text(body: bytes) -> str:
    """Words of a page that is not from the API, without markup."""
    # Several times the quote, so that markup cannot push the words out of it.
    return _TAGS.sub(" ", body[: 20 * MAX_QUOTE].decode("utf-8", "replace"))


def redact_url(url: str) -> str:
    """URL without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(an address that cannot be read)"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path


def from_answer(status: int, body: bytes, location: str = "", secrets: Iterable[str] = ()) -> SourceError:
    """Error of an answer with any other status than 200; ``location`` is the header of a redirect."""
    if status in range(300, 400):
        to = quote(redact_url(location), secrets) or "nowhere"
        return SourceError(
            f"answered {status} to {to}: is there a login page in front? "
            "Set source.auth, or the final address as source.url",
            "redirect",
        )
    kind, said = _said(body)
    quoted = quote(said, secrets) or "an empty body"
    if (status == 503 and kind == "timeout") or (status == 422 and _OUT_OF_TIME in said):
        return SourceError(f"gave up on the query: {quoted}", "timeout", retry=True)
    if status in (400, 422):
        return _refused(status, said, quoted)
    if status in (401, 403):
        return SourceError(f"answered {status}, check source.auth: {quoted}", "unauthorized")
    if status in (429, 502, 503, 504):
        return SourceError(f"answered {status}, it is overloaded or not up: {quoted}", "unavailable", retry=True)
    if status >= 500:
        return SourceError(f"answered {status}: {quoted}", "internal", retry=True)
    hint = "source.url is the address before /api/v1" if status == 404 else "is this the HTTP API of a Prometheus?"
    return SourceError(f"answered {status}, {hint}: {quoted}", "bad_response")


def _refused(status: int, said: str, quoted: str) -> SourceError:
    if _TOO_MANY.search(said):
        return SourceError(f"answered {status}, the query touches too much data: {quoted}", "too_many_samples")
    return SourceError(f"answered {status}, check the expression: {quoted}", "bad_query")


def _said(body: bytes) -> tuple[str, str]:
    """``errorType`` and ``error`` of an answer of the API; of anything else its text."""
    try:
        failure = _FAILURE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", page_text(body)
    return failure.errorType, failure.error
