"""The admin listener: metrics now, the console and its API later."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bascule.gateway.gateway import Gateway

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class GatewayCollector:
    """Reads a gateway's counters when it is asked; names nobody and nothing."""

    def __init__(self, gateway: Gateway, log_age: Callable[[], float]) -> None:
        self._gateway = gateway
        self._log_age = log_age

    def collect(self) -> Iterable[Metric]:
        """Give all metrics."""
        decisions = CounterMetricFamily(
            "bascule_decisions",
            "Decisions by result and reason.",
            labels=["decision", "reason"],
        )
        journal = self._gateway.journal
        for (decision, reason), count in sorted(journal.decisions.items()):
            decisions.add_metric([decision, reason], count)
        yield decisions
        outcomes = CounterMetricFamily(
            "bascule_calls", "Forwarded requests by outcome.", labels=["outcome"]
        )
        for outcome, count in sorted(journal.outcomes.items()):
            outcomes.add_metric([outcome], count)
        yield outcomes
        yield CounterMetricFamily(
            "bascule_authentication_failures",
            "Requests without a valid token.",
            value=journal.authentication_failures,
        )
        yield GaugeMetricFamily(
            "bascule_requests_in_flight",
            "Requests that are being answered.",
            value=len(self._gateway.work),
        )
        yield GaugeMetricFamily(
            "bascule_log_pending_seconds",
            "Age of the oldest record that is not in the tree yet.",
            value=self._log_age(),
        )


def admin_application(gateway: Gateway, log_age: Callable[[], float]) -> Starlette:
    """Make the application of the admin listener."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(gateway, log_age))

    async def metrics(_: Request) -> Response:
        """Give the metrics in Prometheus' text format."""
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE})

    async def healthz(_: Request) -> Response:
        """Say that the process answers."""
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz)])
