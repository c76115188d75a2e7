import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.mail.v1 import mail_pb2 as _mail_pb2
from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MailStatusRequest(_message.Message):
    __slots__ = ("tenant", "mail_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ...) -> None: ...

class MailStatusResponse(_message.Message):
    __slots__ = ("mail_id", "tenant", "direction", "recipients", "events", "sender", "received_at", "size", "final", "origin")
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    mail_id: str
    tenant: str
    direction: str
    recipients: _containers.RepeatedCompositeFieldContainer[RecipientStatus]
    events: _containers.RepeatedCompositeFieldContainer[MailEvent]
    sender: str
    received_at: _timestamp_pb2.Timestamp
    size: int
    final: bool
    origin: str
    def __init__(self, mail_id: _Optional[str] = ..., tenant: _Optional[str] = ..., direction: _Optional[str] = ..., recipients: _Optional[_Iterable[_Union[RecipientStatus, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[MailEvent, _Mapping]]] = ..., sender: _Optional[str] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., size: _Optional[int] = ..., final: _Optional[bool] = ..., origin: _Optional[str] = ...) -> None: ...

class RecipientStatus(_message.Message):
    __slots__ = ("address", "state", "detail", "code", "at", "attempts", "added")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    address: str
    state: str
    detail: str
    code: str
    at: _timestamp_pb2.Timestamp
    attempts: int
    added: bool
    def __init__(self, address: _Optional[str] = ..., state: _Optional[str] = ..., detail: _Optional[str] = ..., code: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., added: _Optional[bool] = ...) -> None: ...

class MailEvent(_message.Message):
    __slots__ = ("at", "event", "leg", "recipients", "code", "detail", "service", "actor", "remote", "attempts", "rule")
    AT_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    event: str
    leg: int
    recipients: _containers.RepeatedScalarFieldContainer[str]
    code: str
    detail: str
    service: str
    actor: str
    remote: str
    attempts: int
    rule: str
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., event: _Optional[str] = ..., leg: _Optional[int] = ..., recipients: _Optional[_Iterable[str]] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., service: _Optional[str] = ..., actor: _Optional[str] = ..., remote: _Optional[str] = ..., attempts: _Optional[int] = ..., rule: _Optional[str] = ...) -> None: ...

class MailWhyRequest(_message.Message):
    __slots__ = ("tenant", "mail_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ...) -> None: ...

class MailWhyResponse(_message.Message):
    __slots__ = ("mail_id", "tenant", "decision")
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    mail_id: str
    tenant: str
    decision: _mail_pb2.Decision
    def __init__(self, mail_id: _Optional[str] = ..., tenant: _Optional[str] = ..., decision: _Optional[_Union[_mail_pb2.Decision, _Mapping]] = ...) -> None: ...

class CoverageRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class CoverageResponse(_message.Message):
    __slots__ = ("tenants", "in_scope", "indexed", "segments_behind")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    IN_SCOPE_FIELD_NUMBER: _ClassVar[int]
    INDEXED_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_BEHIND_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[TenantCoverage]
    in_scope: int
    indexed: int
    segments_behind: int
    def __init__(self, tenants: _Optional[_Iterable[_Union[TenantCoverage, _Mapping]]] = ..., in_scope: _Optional[int] = ..., indexed: _Optional[int] = ..., segments_behind: _Optional[int] = ...) -> None: ...

class TenantCoverage(_message.Message):
    __slots__ = ("tenant", "in_scope", "indexed", "reasons", "unsearchable")
    class ReasonsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TENANT_FIELD_NUMBER: _ClassVar[int]
    IN_SCOPE_FIELD_NUMBER: _ClassVar[int]
    INDEXED_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    UNSEARCHABLE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    in_scope: int
    indexed: int
    reasons: _containers.ScalarMap[str, int]
    unsearchable: _containers.RepeatedCompositeFieldContainer[Unsearchable]
    def __init__(self, tenant: _Optional[str] = ..., in_scope: _Optional[int] = ..., indexed: _Optional[int] = ..., reasons: _Optional[_Mapping[str, int]] = ..., unsearchable: _Optional[_Iterable[_Union[Unsearchable, _Mapping]]] = ...) -> None: ...

class Unsearchable(_message.Message):
    __slots__ = ("mail_id", "reason")
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    mail_id: str
    reason: str
    def __init__(self, mail_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReindexRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ReindexResponse(_message.Message):
    __slots__ = ("segments", "segments_done", "mails", "done")
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_DONE_FIELD_NUMBER: _ClassVar[int]
    MAILS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    segments: int
    segments_done: int
    mails: int
    done: bool
    def __init__(self, segments: _Optional[int] = ..., segments_done: _Optional[int] = ..., mails: _Optional[int] = ..., done: _Optional[bool] = ...) -> None: ...

class FatesRequest(_message.Message):
    __slots__ = ("tenant", "mail_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ...) -> None: ...

class FatesResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[_mail_pb2.Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[_mail_pb2.Outcome, _Mapping]]] = ...) -> None: ...
