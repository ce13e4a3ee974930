"""Names to addresses by the operating system, without holding anybody else up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

MAX_LOOKUPS = 8

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host, each once, best first; OSError when there are none."""


class SystemResolver:
    """Asks the operating system, which takes as long as it takes: a thread for each lookup.

    Not threads of the event loop's executor, since the state database is read there: a name
    server of a stranger that answers late must not keep anybody waiting but who asked for
    that name. They are daemons, so that the end of the program does not wait either.
    """

    def __init__(self, limit: int = MAX_LOOKUPS) -> None:
        """`limit`: lookups under way; more are refused."""
        self._limit = limit
        self._running: set[threading.Thread] = set()

    async def __call__(self, host: str, port: int) -> list[str]:
        """Look a name up. Raises OSError, also when too many lookups are under way."""
        if len(self._running) >= self._limit:
            raise OSError("too many names are being looked up")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def look_up() -> None:
            found = _addresses(host, port)
            self._running.discard(threading.current_thread())
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, answer, found)

        thread = threading.Thread(target=look_up, name="resolver", daemon=True)
        self._running.add(thread)
        thread.start()
        return await answer


def _addresses(host: str, port: int) -> list[str] | OSError:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        return exc
    except UnicodeError:
        return OSError("the name cannot be looked up")
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def _settle(answer: asyncio.Future[list[str]], found: list[str] | OSError) -> None:
    if answer.done():
        return
    if isinstance(found, OSError):
        answer.set_exception(found)
    else:
        answer.set_result(found)


system_resolver = SystemResolver(64)
"""For hosts that the configuration names."""
