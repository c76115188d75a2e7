import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.audit.v1 import audit_pb2 as _audit_pb2
from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetIndexKeysRequest(_message.Message):
    __slots__ = ("tenant", "months")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MONTHS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    months: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., months: _Optional[_Iterable[str]] = ...) -> None: ...

class IndexKeys(_message.Message):
    __slots__ = ("month", "key", "summary_key")
    MONTH_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_KEY_FIELD_NUMBER: _ClassVar[int]
    month: str
    key: bytes
    summary_key: bytes
    def __init__(self, month: _Optional[str] = ..., key: _Optional[bytes] = ..., summary_key: _Optional[bytes] = ...) -> None: ...

class GetIndexKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[IndexKeys]
    def __init__(self, keys: _Optional[_Iterable[_Union[IndexKeys, _Mapping]]] = ...) -> None: ...

class BlindRequest(_message.Message):
    __slots__ = ("tenant", "grant_id", "receipt", "months")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    MONTHS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    grant_id: str
    receipt: _audit_pb2.Receipt
    months: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., grant_id: _Optional[str] = ..., receipt: _Optional[_Union[_audit_pb2.Receipt, _Mapping]] = ..., months: _Optional[_Iterable[str]] = ...) -> None: ...

class BlindTokens(_message.Message):
    __slots__ = ("field", "tokens")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    field: str
    tokens: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, field: _Optional[str] = ..., tokens: _Optional[_Iterable[str]] = ...) -> None: ...

class BlindLeaf(_message.Message):
    __slots__ = ("lookups",)
    LOOKUPS_FIELD_NUMBER: _ClassVar[int]
    lookups: _containers.RepeatedCompositeFieldContainer[BlindTokens]
    def __init__(self, lookups: _Optional[_Iterable[_Union[BlindTokens, _Mapping]]] = ...) -> None: ...

class BlindMonth(_message.Message):
    __slots__ = ("month", "leaves")
    MONTH_FIELD_NUMBER: _ClassVar[int]
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    month: str
    leaves: _containers.RepeatedCompositeFieldContainer[BlindLeaf]
    def __init__(self, month: _Optional[str] = ..., leaves: _Optional[_Iterable[_Union[BlindLeaf, _Mapping]]] = ...) -> None: ...

class BlindResponse(_message.Message):
    __slots__ = ("months",)
    MONTHS_FIELD_NUMBER: _ClassVar[int]
    months: _containers.RepeatedCompositeFieldContainer[BlindMonth]
    def __init__(self, months: _Optional[_Iterable[_Union[BlindMonth, _Mapping]]] = ...) -> None: ...

class OpenSummariesRequest(_message.Message):
    __slots__ = ("tenant", "grant_id", "receipt", "documents")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    grant_id: str
    receipt: _audit_pb2.Receipt
    documents: _containers.RepeatedCompositeFieldContainer[SealedSummary]
    def __init__(self, tenant: _Optional[str] = ..., grant_id: _Optional[str] = ..., receipt: _Optional[_Union[_audit_pb2.Receipt, _Mapping]] = ..., documents: _Optional[_Iterable[_Union[SealedSummary, _Mapping]]] = ...) -> None: ...

class SealedSummary(_message.Message):
    __slots__ = ("document_id", "summary")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    summary: str
    def __init__(self, document_id: _Optional[str] = ..., summary: _Optional[str] = ...) -> None: ...

class OpenSummariesResponse(_message.Message):
    __slots__ = ("summaries",)
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    summaries: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, summaries: _Optional[_Iterable[bytes]] = ...) -> None: ...

class OpenRequest(_message.Message):
    __slots__ = ("tenant", "grant_id", "receipt", "mail_id", "result", "index", "size", "path", "delivered")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    grant_id: str
    receipt: _audit_pb2.Receipt
    mail_id: str
    result: _audit_pb2.Receipt
    index: int
    size: int
    path: _containers.RepeatedScalarFieldContainer[bytes]
    delivered: bool
    def __init__(self, tenant: _Optional[str] = ..., grant_id: _Optional[str] = ..., receipt: _Optional[_Union[_audit_pb2.Receipt, _Mapping]] = ..., mail_id: _Optional[str] = ..., result: _Optional[_Union[_audit_pb2.Receipt, _Mapping]] = ..., index: _Optional[int] = ..., size: _Optional[int] = ..., path: _Optional[_Iterable[bytes]] = ..., delivered: _Optional[bool] = ...) -> None: ...

class OpenedHeader(_message.Message):
    __slots__ = ("size", "sha256", "sender", "recipients", "received", "envelope", "decision", "opaque")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    OPAQUE_FIELD_NUMBER: _ClassVar[int]
    size: int
    sha256: bytes
    sender: str
    recipients: _containers.RepeatedScalarFieldContainer[str]
    received: _timestamp_pb2.Timestamp
    envelope: bytes
    decision: bytes
    opaque: bool
    def __init__(self, size: _Optional[int] = ..., sha256: _Optional[bytes] = ..., sender: _Optional[str] = ..., recipients: _Optional[_Iterable[str]] = ..., received: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., envelope: _Optional[bytes] = ..., decision: _Optional[bytes] = ..., opaque: _Optional[bool] = ...) -> None: ...

class DeliveredHeader(_message.Message):
    __slots__ = ("leg", "variant", "kind", "reason", "manifest", "size", "sha256")
    LEG_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    leg: int
    variant: int
    kind: str
    reason: str
    manifest: bytes
    size: int
    sha256: bytes
    def __init__(self, leg: _Optional[int] = ..., variant: _Optional[int] = ..., kind: _Optional[str] = ..., reason: _Optional[str] = ..., manifest: _Optional[bytes] = ..., size: _Optional[int] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class OpenResponse(_message.Message):
    __slots__ = ("mail", "piece", "delivered")
    MAIL_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    mail: OpenedHeader
    piece: bytes
    delivered: DeliveredHeader
    def __init__(self, mail: _Optional[_Union[OpenedHeader, _Mapping]] = ..., piece: _Optional[bytes] = ..., delivered: _Optional[_Union[DeliveredHeader, _Mapping]] = ...) -> None: ...
