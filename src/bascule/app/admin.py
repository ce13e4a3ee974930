"""The admin listener: metrics now, the console and its API later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bascule.app.counts import Counts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Collector:
    """Reads the counters of all workers when it is asked; names nobody and nothing."""

    def __init__(
        self,
        counts: Callable[[], Counts],
        log_age: Callable[[], float],
        boundaries: Callable[[], Mapping[str, int]],
    ) -> None:
        self._counts = counts
        self._log_age = log_age
        self._boundaries = boundaries

    def collect(self) -> Iterable[Metric]:
        """Give all metrics."""
        counts = self._counts()
        decisions = CounterMetricFamily(
            "bascule_decisions",
            "Decisions by result and reason.",
            labels=["decision", "reason"],
        )
        for name, count in sorted(counts.decisions.items()):
            decision, _, reason = name.partition(" ")
            decisions.add_metric([decision, reason], count)
        yield decisions
        outcomes = CounterMetricFamily(
            "bascule_calls", "Forwarded requests by outcome.", labels=["outcome"]
        )
        for outcome, count in sorted(counts.outcomes.items()):
            outcomes.add_metric([outcome], count)
        yield outcomes
        shadowed = CounterMetricFamily(
            "bascule_shadow_decisions",
            "Decisions in force, by what rights that are tried out would have decided.",
            labels=["decision", "shadow"],
        )
        for name, count in sorted(counts.shadowed.items()):
            decision, _, tried = name.partition(" ")
            shadowed.add_metric([decision, tried], count)
        yield shadowed
        yield CounterMetricFamily(
            "bascule_authentication_failures",
            "Requests without a valid token.",
            value=counts.authentication_failures,
        )
        yield GaugeMetricFamily(
            "bascule_requests_in_flight",
            "Requests that are being answered.",
            value=counts.in_flight,
        )
        yield GaugeMetricFamily(
            "bascule_workers", "Processes that serve.", value=counts.workers
        )
        yield GaugeMetricFamily(
            "bascule_log_pending_seconds",
            "Age of the oldest record that is not in the tree yet.",
            value=self._log_age(),
        )
        boundaries = GaugeMetricFamily(
            "bascule_boundaries",
            "Connectors by what the last probe of their boundary found.",
            labels=["verdict"],
        )
        for verdict, count in sorted(self._boundaries().items()):
            boundaries.add_metric([verdict], count)
        yield boundaries


def admin_application(
    counts: Callable[[], Counts],
    log_age: Callable[[], float],
    boundaries: Callable[[], Mapping[str, int]],
) -> Starlette:
    """Make the application of the admin listener."""
    registry = CollectorRegistry()
    registry.register(Collector(counts, log_age, boundaries))

    async def metrics(_: Request) -> Response:
        """Give the metrics in Prometheus' text format."""
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE})

    async def healthz(_: Request) -> Response:
        """Say that the process answers."""
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz)])
