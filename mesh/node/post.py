"""One request to a witness over HTTP, and its answer within bounds of time and size."""

from __future__ import annotations

import os

import aiohttp

from mesh.exchange import (
    ANSWER_MAX_BYTES,
    RETRY_AFTER,
    VERSION,
    VERSION_HEADER,
    VERSION_MAX,
    Answer,
    parse_retry_after,
    version_fault,
)

CONNECT_S = 2.0


class Unreachable(Exception):
    """No answer that could be read; the message says why."""


class OtherVersion(Unreachable):
    """Who answered speaks another version of the mesh protocol, so nothing in the answer is used."""

    def __init__(self, message: str, version: str) -> None:
        super().__init__(message)
        self.version = version[:VERSION_MAX]


class Post:
    """Sends to witnesses: one connection for each request, no redirect, no proxy, nothing unpacked."""

    def __init__(self, request_s: float) -> None:
        """Make it inside the event loop.

        Args:
            request_s: for one request, from the connection to the end of the answer.

        """
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(total=request_s, connect=CONNECT_S),
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, url: str, body: bytes, content_type: str) -> Answer:
        """POST.

        Raises:
            Unreachable: no whole answer in time, or one that is too long.
            OtherVersion: it speaks another version.

        """
        return await self._ask("POST", url, body, {"Content-Type": content_type})

    async def get(self, url: str) -> Answer:
        """GET; raises as `send`."""
        return await self._ask("GET", url, None, {})

    async def close(self) -> None:
        """Close what is open."""
        await self._session.close()

    async def _ask(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        headers |= {"Accept-Encoding": "identity", VERSION_HEADER: VERSION}
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                taken = bytearray()
                async for part in answer.content.iter_any():
                    taken += part
                    if len(taken) > ANSWER_MAX_BYTES:
                        raise Unreachable(f"{url}: an answer of more than {ANSWER_MAX_BYTES} bytes")
                stated = answer.headers.get(VERSION_HEADER)
                if stated is not None and (other := version_fault(stated)) is not None:
                    raise OtherVersion(f"{url}: {other.detail}", stated)
                wait_s = parse_retry_after(answer.headers.get(RETRY_AFTER))
                return Answer(answer.status, answer.headers.get("Content-Type", ""), bytes(taken), stated, wait_s)
        except TimeoutError:
            raise Unreachable(f"{url}: no answer in time") from None
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno  # what asyncio says beside it repeats the address
            raise Unreachable(f"{url}: {os.strerror(number) if number else error.os_error}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"{url}: {str(error) or type(error).__name__}") from error


def below(url: str, path: str) -> str:
    """The address of what lies below a witness's URL."""
    return f"{url.rstrip('/')}/{path}"
