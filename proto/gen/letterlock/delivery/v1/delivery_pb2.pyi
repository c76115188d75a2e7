import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QueuedMail(_message.Message):
    __slots__ = ("tenant", "mail_id", "leg", "destinations", "queued_at", "next_attempt_at")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    leg: int
    destinations: _containers.RepeatedCompositeFieldContainer[QueuedDestination]
    queued_at: _timestamp_pb2.Timestamp
    next_attempt_at: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., leg: _Optional[int] = ..., destinations: _Optional[_Iterable[_Union[QueuedDestination, _Mapping]]] = ..., queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueuedDestination(_message.Message):
    __slots__ = ("domain", "recipients", "attempts", "next_attempt_at", "last_code", "last_reply_code")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_CODE_FIELD_NUMBER: _ClassVar[int]
    LAST_REPLY_CODE_FIELD_NUMBER: _ClassVar[int]
    domain: str
    recipients: int
    attempts: int
    next_attempt_at: _timestamp_pb2.Timestamp
    last_code: str
    last_reply_code: str
    def __init__(self, domain: _Optional[str] = ..., recipients: _Optional[int] = ..., attempts: _Optional[int] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_code: _Optional[str] = ..., last_reply_code: _Optional[str] = ...) -> None: ...

class ListQueueRequest(_message.Message):
    __slots__ = ("tenant", "domain", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    domain: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., domain: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListQueueResponse(_message.Message):
    __slots__ = ("items", "next_page_token")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[QueuedMail]
    next_page_token: str
    def __init__(self, items: _Optional[_Iterable[_Union[QueuedMail, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RetryRequest(_message.Message):
    __slots__ = ("tenant", "mail_id", "domain")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    domain: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., domain: _Optional[str] = ...) -> None: ...

class RetryResponse(_message.Message):
    __slots__ = ("legs",)
    LEGS_FIELD_NUMBER: _ClassVar[int]
    legs: int
    def __init__(self, legs: _Optional[int] = ...) -> None: ...

class FailRequest(_message.Message):
    __slots__ = ("tenant", "mail_id", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    note: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class FailResponse(_message.Message):
    __slots__ = ("legs",)
    LEGS_FIELD_NUMBER: _ClassVar[int]
    legs: int
    def __init__(self, legs: _Optional[int] = ...) -> None: ...

class RetryState(_message.Message):
    __slots__ = ("tenant", "mail_id", "leg", "recipients", "queued_at", "fail", "actor", "note", "fact", "some_delivered")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    FAIL_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    SOME_DELIVERED_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    leg: int
    recipients: _containers.RepeatedCompositeFieldContainer[RecipientRetry]
    queued_at: _timestamp_pb2.Timestamp
    fail: bool
    actor: str
    note: str
    fact: bytes
    some_delivered: bool
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., leg: _Optional[int] = ..., recipients: _Optional[_Iterable[_Union[RecipientRetry, _Mapping]]] = ..., queued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fail: _Optional[bool] = ..., actor: _Optional[str] = ..., note: _Optional[str] = ..., fact: _Optional[bytes] = ..., some_delivered: _Optional[bool] = ...) -> None: ...

class RecipientRetry(_message.Message):
    __slots__ = ("position", "domain", "attempts", "next_attempt_at", "last_code", "last_reply_code", "delay_reported")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_CODE_FIELD_NUMBER: _ClassVar[int]
    LAST_REPLY_CODE_FIELD_NUMBER: _ClassVar[int]
    DELAY_REPORTED_FIELD_NUMBER: _ClassVar[int]
    position: int
    domain: str
    attempts: int
    next_attempt_at: _timestamp_pb2.Timestamp
    last_code: str
    last_reply_code: str
    delay_reported: bool
    def __init__(self, position: _Optional[int] = ..., domain: _Optional[str] = ..., attempts: _Optional[int] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_code: _Optional[str] = ..., last_reply_code: _Optional[str] = ..., delay_reported: _Optional[bool] = ...) -> None: ...
