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

class Revision(_message.Message):
    __slots__ = ("number", "applied_at", "actor", "note", "rules", "sha256")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    APPLIED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    number: int
    applied_at: _timestamp_pb2.Timestamp
    actor: str
    note: str
    rules: int
    sha256: str
    def __init__(self, number: _Optional[int] = ..., applied_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., note: _Optional[str] = ..., rules: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class Mistake(_message.Message):
    __slots__ = ("line", "column", "path", "reason")
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    line: int
    column: int
    path: str
    reason: str
    def __init__(self, line: _Optional[int] = ..., column: _Optional[int] = ..., path: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("tenant", "revision")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    revision: int
    def __init__(self, tenant: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("revision", "document", "running")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    revision: Revision
    document: str
    running: int
    def __init__(self, revision: _Optional[_Union[Revision, _Mapping]] = ..., document: _Optional[str] = ..., running: _Optional[int] = ...) -> None: ...

class ApplyRequest(_message.Message):
    __slots__ = ("tenant", "document", "expected_revision", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    document: str
    expected_revision: int
    note: str
    def __init__(self, tenant: _Optional[str] = ..., document: _Optional[str] = ..., expected_revision: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class ApplyResponse(_message.Message):
    __slots__ = ("revision", "changed", "warnings")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    revision: Revision
    changed: bool
    warnings: _containers.RepeatedCompositeFieldContainer[Mistake]
    def __init__(self, revision: _Optional[_Union[Revision, _Mapping]] = ..., changed: _Optional[bool] = ..., warnings: _Optional[_Iterable[_Union[Mistake, _Mapping]]] = ...) -> None: ...

class CheckRequest(_message.Message):
    __slots__ = ("tenant", "document", "groups")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    document: str
    groups: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., document: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("mistakes", "rules", "warnings")
    MISTAKES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    mistakes: _containers.RepeatedCompositeFieldContainer[Mistake]
    rules: int
    warnings: _containers.RepeatedCompositeFieldContainer[Mistake]
    def __init__(self, mistakes: _Optional[_Iterable[_Union[Mistake, _Mapping]]] = ..., rules: _Optional[int] = ..., warnings: _Optional[_Iterable[_Union[Mistake, _Mapping]]] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class HistoryResponse(_message.Message):
    __slots__ = ("revisions", "next_page_token")
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[Revision]
    next_page_token: str
    def __init__(self, revisions: _Optional[_Iterable[_Union[Revision, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("tenant", "revision", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    revision: int
    note: str
    def __init__(self, tenant: _Optional[str] = ..., revision: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class RollbackResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: Revision
    def __init__(self, revision: _Optional[_Union[Revision, _Mapping]] = ...) -> None: ...

class TraceRequest(_message.Message):
    __slots__ = ("tenant", "mail", "document", "sender", "recipients", "direction", "tls", "at")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail: bytes
    document: str
    sender: str
    recipients: _containers.RepeatedScalarFieldContainer[str]
    direction: _mail_pb2.Direction
    tls: bool
    at: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., mail: _Optional[bytes] = ..., document: _Optional[str] = ..., sender: _Optional[str] = ..., recipients: _Optional[_Iterable[str]] = ..., direction: _Optional[_Union[_mail_pb2.Direction, str]] = ..., tls: _Optional[bool] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TraceResponse(_message.Message):
    __slots__ = ("decision", "mistakes")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    MISTAKES_FIELD_NUMBER: _ClassVar[int]
    decision: _mail_pb2.Decision
    mistakes: _containers.RepeatedCompositeFieldContainer[Mistake]
    def __init__(self, decision: _Optional[_Union[_mail_pb2.Decision, _Mapping]] = ..., mistakes: _Optional[_Iterable[_Union[Mistake, _Mapping]]] = ...) -> None: ...

class LintRequest(_message.Message):
    __slots__ = ("tenant", "document")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    document: str
    def __init__(self, tenant: _Optional[str] = ..., document: _Optional[str] = ...) -> None: ...

class LintResponse(_message.Message):
    __slots__ = ("findings", "mistakes")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    MISTAKES_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[Mistake]
    mistakes: _containers.RepeatedCompositeFieldContainer[Mistake]
    def __init__(self, findings: _Optional[_Iterable[_Union[Mistake, _Mapping]]] = ..., mistakes: _Optional[_Iterable[_Union[Mistake, _Mapping]]] = ...) -> None: ...

class ShadowReportRequest(_message.Message):
    __slots__ = ("tenant", "days")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    days: int
    def __init__(self, tenant: _Optional[str] = ..., days: _Optional[int] = ...) -> None: ...

class ShadowCount(_message.Message):
    __slots__ = ("day", "rule", "mode", "direction", "group", "outcome", "mails")
    DAY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    MAILS_FIELD_NUMBER: _ClassVar[int]
    day: str
    rule: str
    mode: str
    direction: _mail_pb2.Direction
    group: str
    outcome: str
    mails: int
    def __init__(self, day: _Optional[str] = ..., rule: _Optional[str] = ..., mode: _Optional[str] = ..., direction: _Optional[_Union[_mail_pb2.Direction, str]] = ..., group: _Optional[str] = ..., outcome: _Optional[str] = ..., mails: _Optional[int] = ...) -> None: ...

class ShadowReportResponse(_message.Message):
    __slots__ = ("counts", "asked")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[ShadowCount]
    asked: _containers.RepeatedCompositeFieldContainer[ShadowCount]
    def __init__(self, counts: _Optional[_Iterable[_Union[ShadowCount, _Mapping]]] = ..., asked: _Optional[_Iterable[_Union[ShadowCount, _Mapping]]] = ...) -> None: ...

class ReplayWhyRequest(_message.Message):
    __slots__ = ("tenant", "decision")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    decision: _mail_pb2.Decision
    def __init__(self, tenant: _Optional[str] = ..., decision: _Optional[_Union[_mail_pb2.Decision, _Mapping]] = ...) -> None: ...

class ReplayWhyResponse(_message.Message):
    __slots__ = ("same", "differences", "not_replayed")
    SAME_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    NOT_REPLAYED_FIELD_NUMBER: _ClassVar[int]
    same: bool
    differences: _containers.RepeatedScalarFieldContainer[str]
    not_replayed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, same: _Optional[bool] = ..., differences: _Optional[_Iterable[str]] = ..., not_replayed: _Optional[_Iterable[str]] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ("tenant", "mail_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("decision", "malware")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    MALWARE_FIELD_NUMBER: _ClassVar[int]
    decision: _mail_pb2.Decision
    malware: bool
    def __init__(self, decision: _Optional[_Union[_mail_pb2.Decision, _Mapping]] = ..., malware: _Optional[bool] = ...) -> None: ...
