"""Traces of requests by OpenTelemetry, where its environment names a place to send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.errors import MachineError

# OpenTelemetry's own variables; either of them turns traces on
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def traced(app: Any, environment: Mapping[str, str], version: str) -> Any:
    """Return an application with a span for each request, which joins the trace that its client began.

    Without an endpoint it is the application itself. Raises MachineError where the packages are missing.
    """
    if not any(environment.get(name) for name in ENDPOINTS):
        return app
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MachineError(
            f"the environment asks for traces, and {error.name} is not installed", remedy="pip install 'trtnemo[otel]'"
        ) from None
    name = environment.get("OTEL_SERVICE_NAME", "trtnemo")
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": version}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # a stream would have a span for every token
    return OpenTelemetryMiddleware(app, tracer_provider=provider, exclude_spans=["send", "receive"])
