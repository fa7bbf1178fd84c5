"""One URL to ask for bodies, wherever it redirects to."""

from __future__ import annotations

from aiohttp import hdrs
from yarl import URL

from telecine.core.clock import Clock
from telecine.core.reasons import Reason
from telecine.core.worker.sources.body import Body, Stamp
from telecine.core.worker.sources.client import Answer, WebClient
from telecine.core.worker.sources.errors import SourceError, refusal
from telecine.core.worker.sources.hosts import Host
from telecine.core.worker.sources.limits import SourceLimits

REDIRECTS = frozenset({301, 302, 303, 307, 308})
EXPIRED = frozenset({Reason.GONE, Reason.FORBIDDEN, Reason.NETWORK})


class Link:
    """One URL to ask for bodies. Redirects are walked by us, so that each hop is checked.

    Raises SourceError where `url` is none that may be asked for.
    """

    def __init__(self, client: WebClient, url: str, limits: SourceLimits, clock: Clock) -> None:
        self._client = client
        self._limits = limits
        self._clock = clock
        self._first = _checked(parsed(url))
        self.url = self._first
        """Where the last redirect led."""

    @property
    def host(self) -> Host:
        """The host that sends the bytes."""
        return self._client.hosts.of(self.url)

    async def open(self, start: int, length: int | None, stamp: Stamp | None = None) -> Body:
        """The file from `start` on, `length` bytes of it or all; a host without ranges sends the whole.

        `stamp` makes a host send the whole as well where the file is not the same any more. Raises SourceError.
        """
        headers: dict[str, str] = {hdrs.ACCEPT_ENCODING: "identity"}
        if start or length is not None:
            headers[hdrs.RANGE] = f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"
            if stamp and stamp.if_range:
                headers[hdrs.IF_RANGE] = stamp.if_range
        try:
            return await self._follow(self.url, headers)
        except SourceError as error:
            if self.url == self._first or error.reason not in EXPIRED:
                raise
        return await self._follow(self._first, headers)  # what a redirect led to may have expired meanwhile

    async def _follow(self, url: URL, headers: dict[str, str]) -> Body:
        for _ in range(self._limits.redirects_max + 1):
            # What is meant for a host over TLS is not said aloud where it redirects to http.
            openly = url.scheme == "http" and self._first.scheme == "https"
            answer = await self._client.get(url, headers, with_secrets=not openly)
            location = answer.response.headers.get(hdrs.LOCATION)
            if answer.response.status in REDIRECTS and location:
                answer.release()
                url = _checked(url.join(parsed(location)))
                continue
            body = _body(answer, self._clock.now_ms())
            self.url = url
            return body
        raise SourceError(Reason.GONE, f"redirects more than {self._limits.redirects_max} times")


def parsed(url: str) -> URL:
    """Raises SourceError for what is no URL."""
    try:
        found = URL(url)
        found.host  # noqa: B018 - decoded only now
    except ValueError as error:
        raise SourceError(Reason.GONE, "is not a URL") from error
    return found


def _body(answer: Answer, now_ms: int) -> Body:
    """Raises SourceError for an answer that brings nothing of the file."""
    error = refusal(answer.response.status, answer.response.headers.get(hdrs.RETRY_AFTER), now_ms)
    if error:
        answer.release()
        raise error
    try:
        return Body(answer)
    except SourceError:
        answer.release()
        raise


def _checked(url: URL) -> URL:
    """A URL that may be asked for, as far as the URL itself tells."""
    if url.scheme not in ("http", "https"):
        raise SourceError(Reason.FORBIDDEN, f"{url.scheme or 'no'} scheme: only http and https are asked")
    if not url.host:
        raise SourceError(Reason.GONE, "names no host")
    try:
        (url.raw_host or "").encode("idna")
    except UnicodeError as error:
        raise SourceError(Reason.GONE, "names a host that cannot be") from error
    return url
