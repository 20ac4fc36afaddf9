"""OpenTelemetry, where Thud was installed with its extra `otel`: a span a request, sent as OTEL_* variables say."""

from typing import cast

from starlette.types import ASGIApp

from model.errors import ThudError


class TracingError(ThudError):
    """Tracing was asked for and cannot be."""


def traced(app: ASGIApp) -> ASGIApp:
    """`app` within OpenTelemetry's own middleware, which exports to OTEL_EXPORTER_OTLP_ENDPOINT.

    Raises TracingError where the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise TracingError(f"tracing needs {error.name}; install Thud with it: pip install '.[otel]'") from error
    # OTEL_SERVICE_NAME wins over this name, as OTEL_RESOURCE_ATTRIBUTES does.
    provider = TracerProvider(resource=Resource({"service.name": "thud"}).merge(Resource.create()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return cast(
        "ASGIApp",
        OpenTelemetryMiddleware(
            app, excluded_urls="livez,readyz,metrics", tracer_provider=provider, exclude_spans=["send", "receive"]
        ),
    )
