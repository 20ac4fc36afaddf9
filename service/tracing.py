"""OpenTelemetry, where Thud was installed with its extra `otel`: a span a request, sent as OTEL_* variables say."""

from typing import Any, cast

from starlette.types import ASGIApp, Scope

from model.errors import ThudError
from service.logged import Logged


class TracingError(ThudError):
    """Tracing was asked for and cannot be."""


def traced(app: ASGIApp, logged: Logged) -> ASGIApp:
    """`app` within OpenTelemetry's own middleware, which exports to OTEL_EXPORTER_OTLP_ENDPOINT.

    A span says of an address what the log says, as `logged` has it, and nowhere a key.

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

    def tell(span: Any, scope: Scope) -> None:
        if not span.is_recording():
            return
        address = logged.address(scope)
        path, _, query = address.partition("?")
        texts = {name: value for name, value in span.attributes.items() if isinstance(value, str)}
        said = {name: logged.text(value) for name, value in texts.items()}
        said |= {"http.url": address, "http.target": path, "url.path": path, "url.query": query}
        span.set_attributes({name: said[name] for name in said.keys() & span.attributes.keys()})
        span.update_name(f"{scope['method']} {path}")

    # OTEL_SERVICE_NAME wins over this name, as OTEL_RESOURCE_ATTRIBUTES does.
    provider = TracerProvider(resource=Resource({"service.name": "thud"}).merge(Resource.create()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return cast(
        "ASGIApp",
        OpenTelemetryMiddleware(
            app,
            server_request_hook=tell,
            excluded_urls="livez,readyz,metrics",
            tracer_provider=provider,
            exclude_spans=["send", "receive"],
        ),
    )
