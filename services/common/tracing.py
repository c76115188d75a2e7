"""Spans along a mail, and what binds its logs together.

A mail's trace id is its mail id's 128 bits: every service, a retry days later
and the sweeper find the same trace without being told. The W3C `traceparent`
in the facts' headers adds who caused what. Off until `configure`, and then
nothing here is paid for but one comparison. A span has a name, times and an
error's code; never an address, a subject or content.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.common.ids import MailId

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_EXPORT_WITHIN = 2.0
"""Seconds an export may take: a collector that is away must not keep a stopping process."""

_mail: ContextVar[tuple[str, str] | None] = ContextVar("letterlock_mail", default=None)
"""Tenant and mail id of what is being worked on."""
_w3c = TraceContextTextMapPropagator()
_provider: TracerProvider | None = None
_tracer: trace.Tracer | None = None


def configure(service: str, *, endpoint: str) -> None:
    """Send spans to an OTLP/HTTP traces endpoint from now on; an empty one switches them off after a flush."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider, _tracer = None, None
    if not endpoint:
        return
    # Imported only when used: the SDK and its exporter take several megabytes.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class MailIds(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            bound = _mail.get()
            return (MailId(bound[1]).number if bound else 0) or super().generate_trace_id()

    resource = Resource.create({"service.name": f"letterlock-{service}"})
    _provider = TracerProvider(resource=resource, id_generator=MailIds())
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_WITHIN)))
    _tracer = _provider.get_tracer("letterlock")


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


class Span:
    """The current span from its making to `end`; its parent is in `headers`, or else the current one."""

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, name: str, headers: Mapping[str, str] | None = None) -> None:
        parent = _w3c.extract(headers) if headers else None
        tracer = _tracer or trace.NoOpTracer()
        self._span = tracer.start_span(name, context=parent, record_exception=False, set_status_on_exception=False)
        self._token: Token[Any] = otel_context.attach(trace.set_span_in_context(self._span, parent))

    def end(self, code: str = "") -> None:
        """Close it; `code` is that of the error it ended with."""
        otel_context.detach(self._token)
        if code:
            self._span.set_status(trace.Status(trace.StatusCode.ERROR, code))
        self._span.end()


def inject() -> dict[str, str]:
    """The current trace context as W3C headers for a fact; empty when spans are off."""
    headers: dict[str, str] = {}
    if _tracer is not None:
        _w3c.inject(headers)
    return headers


class mail:  # noqa: N801 - a context manager that reads like a function
    """Bind logs inside to a mail: tenant, mail id, trace id; spans that begin a trace inside get its trace id."""

    __slots__ = ("_mail", "_token")

    def __init__(self, tenant: str, mail_id: str) -> None:
        self._mail = (tenant, mail_id)

    def __enter__(self) -> None:
        self._token = _mail.set(self._mail)

    def __exit__(self, *_: object) -> None:
        _mail.reset(self._token)


def forget_mail() -> None:
    """Bind this task to no mail any more: it was started for one, and works for many."""
    _mail.set(None)


def of_mail(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the mail in a log event (a structlog processor), so that binding costs nothing where nothing is logged."""
    bound = _mail.get()
    if bound is not None:
        tenant, mail_id = bound
        event.setdefault("tenant", tenant)
        if event.setdefault("mail_id", mail_id) == mail_id:
            event["trace_id"] = _trace_id(mail_id)
    return event


def _trace_id(mail_id: str) -> str:
    if _tracer is not None:
        current = trace.get_current_span().get_span_context()
        if current.is_valid:
            return trace.format_trace_id(current.trace_id)
    return trace.format_trace_id(MailId(mail_id).number)
