import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MailAddress(_message.Message):
    __slots__ = ("address", "local", "domain")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    address: str
    local: str
    domain: str
    def __init__(self, address: _Optional[str] = ..., local: _Optional[str] = ..., domain: _Optional[str] = ...) -> None: ...

class MailRecipient(_message.Message):
    __slots__ = ("address", "local", "domain", "direction")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    address: str
    local: str
    domain: str
    direction: str
    def __init__(self, address: _Optional[str] = ..., local: _Optional[str] = ..., domain: _Optional[str] = ..., direction: _Optional[str] = ...) -> None: ...

class MailAttachment(_message.Message):
    __slots__ = ("name", "type", "true_type", "size", "encrypted", "macros")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TRUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    MACROS_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    true_type: str
    size: int
    encrypted: bool
    macros: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., true_type: _Optional[str] = ..., size: _Optional[int] = ..., encrypted: _Optional[bool] = ..., macros: _Optional[bool] = ...) -> None: ...

class MailDetector(_message.Message):
    __slots__ = ("count", "unique", "high")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    count: int
    unique: int
    high: int
    def __init__(self, count: _Optional[int] = ..., unique: _Optional[int] = ..., high: _Optional[int] = ...) -> None: ...

class MailVerdict(_message.Message):
    __slots__ = ("spam", "malware", "phishing", "spf", "dkim", "dmarc", "arc")
    SPAM_FIELD_NUMBER: _ClassVar[int]
    MALWARE_FIELD_NUMBER: _ClassVar[int]
    PHISHING_FIELD_NUMBER: _ClassVar[int]
    SPF_FIELD_NUMBER: _ClassVar[int]
    DKIM_FIELD_NUMBER: _ClassVar[int]
    DMARC_FIELD_NUMBER: _ClassVar[int]
    ARC_FIELD_NUMBER: _ClassVar[int]
    spam: float
    malware: bool
    phishing: bool
    spf: str
    dkim: str
    dmarc: str
    arc: str
    def __init__(self, spam: _Optional[float] = ..., malware: _Optional[bool] = ..., phishing: _Optional[bool] = ..., spf: _Optional[str] = ..., dkim: _Optional[str] = ..., dmarc: _Optional[str] = ..., arc: _Optional[str] = ...) -> None: ...

class MailModel(_message.Message):
    __slots__ = ("size", "tls", "received_at", "sender", "header_from", "recipients", "any_external", "subject", "headers", "attachments", "parts", "not_inspected", "ambiguities", "detectors", "verdict")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class DetectorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: MailDetector
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[MailDetector, _Mapping]] = ...) -> None: ...
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    HEADER_FROM_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    ANY_EXTERNAL_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    NOT_INSPECTED_FIELD_NUMBER: _ClassVar[int]
    AMBIGUITIES_FIELD_NUMBER: _ClassVar[int]
    DETECTORS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    size: int
    tls: bool
    received_at: _timestamp_pb2.Timestamp
    sender: MailAddress
    header_from: _containers.RepeatedCompositeFieldContainer[MailAddress]
    recipients: int
    any_external: bool
    subject: str
    headers: _containers.ScalarMap[str, str]
    attachments: _containers.RepeatedCompositeFieldContainer[MailAttachment]
    parts: int
    not_inspected: _containers.RepeatedScalarFieldContainer[str]
    ambiguities: _containers.RepeatedScalarFieldContainer[str]
    detectors: _containers.MessageMap[str, MailDetector]
    verdict: MailVerdict
    def __init__(self, size: _Optional[int] = ..., tls: _Optional[bool] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sender: _Optional[_Union[MailAddress, _Mapping]] = ..., header_from: _Optional[_Iterable[_Union[MailAddress, _Mapping]]] = ..., recipients: _Optional[int] = ..., any_external: _Optional[bool] = ..., subject: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., attachments: _Optional[_Iterable[_Union[MailAttachment, _Mapping]]] = ..., parts: _Optional[int] = ..., not_inspected: _Optional[_Iterable[str]] = ..., ambiguities: _Optional[_Iterable[str]] = ..., detectors: _Optional[_Mapping[str, MailDetector]] = ..., verdict: _Optional[_Union[MailVerdict, _Mapping]] = ...) -> None: ...
