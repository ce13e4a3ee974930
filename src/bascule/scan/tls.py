"""TLS for a scan: judged first, and then spoken with whoever is there."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache

from bascule.scan.exchange import Limits, Stream, Tls, WireError, tls_failure


async def secured(
    stream: Stream, host: str, context: ssl.SSLContext, problem: str, limits: Limits
) -> Stream:
    """Speak TLS on a connection. Raises `WireError`, or the refusal of the certificate."""
    try:
        async with asyncio.timeout(limits.head_seconds):
            await stream.writer.start_tls(context, server_hostname=host)
    except ssl.SSLCertVerificationError:
        stream.cut()
        raise
    except ssl.SSLError as exc:
        stream.cut()
        raise tls_failure(exc) from exc
    except (OSError, TimeoutError, ValueError) as exc:
        stream.cut()
        raise WireError("tls", "it does not speak TLS") from exc
    except asyncio.CancelledError:
        stream.cut()
        raise
    session = stream.writer.get_extra_info("ssl_object")
    stream.tls = Tls(problem, session.version() or "" if session is not None else "")
    return stream


@cache
def any_certificate() -> ssl.SSLContext:
    """Trust anybody: what is learned is what stands there, and no secret is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
