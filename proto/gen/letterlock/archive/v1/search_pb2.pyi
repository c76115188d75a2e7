import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchRequest(_message.Message):
    __slots__ = ("tenant", "grant_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    grant_id: str
    def __init__(self, tenant: _Optional[str] = ..., grant_id: _Optional[str] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("items", "summary")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[FoundMail]
    summary: SearchSummary
    def __init__(self, items: _Optional[_Iterable[_Union[FoundMail, _Mapping]]] = ..., summary: _Optional[_Union[SearchSummary, _Mapping]] = ...) -> None: ...

class FoundMail(_message.Message):
    __slots__ = ("mail_id", "received", "to", "subject", "size", "direction", "verdict")
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    mail_id: str
    received: _timestamp_pb2.Timestamp
    to: _containers.RepeatedScalarFieldContainer[str]
    subject: str
    size: int
    direction: str
    verdict: str
    def __init__(self, mail_id: _Optional[str] = ..., received: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., to: _Optional[_Iterable[str]] = ..., subject: _Optional[str] = ..., size: _Optional[int] = ..., direction: _Optional[str] = ..., verdict: _Optional[str] = ..., **kwargs) -> None: ...

class SearchSummary(_message.Message):
    __slots__ = ("total", "commitment", "completeness", "days", "directions")
    class DaysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class DirectionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    COMPLETENESS_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    total: int
    commitment: str
    completeness: Completeness
    days: _containers.ScalarMap[str, int]
    directions: _containers.ScalarMap[str, int]
    def __init__(self, total: _Optional[int] = ..., commitment: _Optional[str] = ..., completeness: _Optional[_Union[Completeness, _Mapping]] = ..., days: _Optional[_Mapping[str, int]] = ..., directions: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Completeness(_message.Message):
    __slots__ = ("in_scope", "indexed", "unsearchable")
    IN_SCOPE_FIELD_NUMBER: _ClassVar[int]
    INDEXED_FIELD_NUMBER: _ClassVar[int]
    UNSEARCHABLE_FIELD_NUMBER: _ClassVar[int]
    in_scope: int
    indexed: int
    unsearchable: _containers.RepeatedCompositeFieldContainer[Missing]
    def __init__(self, in_scope: _Optional[int] = ..., indexed: _Optional[int] = ..., unsearchable: _Optional[_Iterable[_Union[Missing, _Mapping]]] = ...) -> None: ...

class Missing(_message.Message):
    __slots__ = ("reason", "count", "day")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    count: int
    day: str
    def __init__(self, reason: _Optional[str] = ..., count: _Optional[int] = ..., day: _Optional[str] = ...) -> None: ...

class OpenRequest(_message.Message):
    __slots__ = ("tenant", "grant_id", "mail_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    grant_id: str
    mail_id: str
    def __init__(self, tenant: _Optional[str] = ..., grant_id: _Optional[str] = ..., mail_id: _Optional[str] = ...) -> None: ...

class OpenResponse(_message.Message):
    __slots__ = ("chunk", "mail")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    MAIL_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    mail: OpenedMail
    def __init__(self, chunk: _Optional[bytes] = ..., mail: _Optional[_Union[OpenedMail, _Mapping]] = ...) -> None: ...

class OpenedMail(_message.Message):
    __slots__ = ("mail_id", "size", "sha256", "sender", "recipients", "received")
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    mail_id: str
    size: int
    sha256: bytes
    sender: str
    recipients: _containers.RepeatedScalarFieldContainer[str]
    received: _timestamp_pb2.Timestamp
    def __init__(self, mail_id: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[bytes] = ..., sender: _Optional[str] = ..., recipients: _Optional[_Iterable[str]] = ..., received: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("tenant", "grant_id", "skip")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    grant_id: str
    skip: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., grant_id: _Optional[str] = ..., skip: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("mail_id", "chunk", "mail", "total")
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    MAIL_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    mail_id: str
    chunk: bytes
    mail: OpenedMail
    total: int
    def __init__(self, mail_id: _Optional[str] = ..., chunk: _Optional[bytes] = ..., mail: _Optional[_Union[OpenedMail, _Mapping]] = ..., total: _Optional[int] = ...) -> None: ...
