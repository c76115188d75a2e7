import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.mail.v1 import mail_pb2 as _mail_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Record(_message.Message):
    __slots__ = ("mail_id", "kind", "trace", "msg_id", "recorded_at")
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    MSG_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    mail_id: str
    kind: _mail_pb2.Kind
    trace: _mail_pb2.Trace
    msg_id: str
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, mail_id: _Optional[str] = ..., kind: _Optional[_Union[_mail_pb2.Kind, str]] = ..., trace: _Optional[_Union[_mail_pb2.Trace, _Mapping]] = ..., msg_id: _Optional[str] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class IndexEntry(_message.Message):
    __slots__ = ("mail_id", "mail", "event")
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    MAIL_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    mail_id: str
    mail: IndexMail
    event: IndexEvent
    def __init__(self, mail_id: _Optional[str] = ..., mail: _Optional[_Union[IndexMail, _Mapping]] = ..., event: _Optional[_Union[IndexEvent, _Mapping]] = ...) -> None: ...

class IndexMail(_message.Message):
    __slots__ = ("received_at", "size", "origin", "blob", "directions", "revision", "decided_at", "decision_origin", "legs", "rules", "inspected", "not_inspected")
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    DECISION_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    INSPECTED_FIELD_NUMBER: _ClassVar[int]
    NOT_INSPECTED_FIELD_NUMBER: _ClassVar[int]
    received_at: _timestamp_pb2.Timestamp
    size: int
    origin: str
    blob: bool
    directions: _containers.RepeatedScalarFieldContainer[_mail_pb2.Direction]
    revision: int
    decided_at: _timestamp_pb2.Timestamp
    decision_origin: str
    legs: _containers.RepeatedCompositeFieldContainer[IndexLeg]
    rules: _containers.RepeatedScalarFieldContainer[str]
    inspected: bool
    not_inspected: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., size: _Optional[int] = ..., origin: _Optional[str] = ..., blob: _Optional[bool] = ..., directions: _Optional[_Iterable[_Union[_mail_pb2.Direction, str]]] = ..., revision: _Optional[int] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decision_origin: _Optional[str] = ..., legs: _Optional[_Iterable[_Union[IndexLeg, _Mapping]]] = ..., rules: _Optional[_Iterable[str]] = ..., inspected: _Optional[bool] = ..., not_inspected: _Optional[_Iterable[str]] = ...) -> None: ...

class IndexLeg(_message.Message):
    __slots__ = ("number", "recipients", "disposition", "rule", "seconds", "transforms")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    TRANSFORMS_FIELD_NUMBER: _ClassVar[int]
    number: int
    recipients: _containers.RepeatedScalarFieldContainer[int]
    disposition: _mail_pb2.Disposition
    rule: str
    seconds: int
    transforms: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, number: _Optional[int] = ..., recipients: _Optional[_Iterable[int]] = ..., disposition: _Optional[_Union[_mail_pb2.Disposition, str]] = ..., rule: _Optional[str] = ..., seconds: _Optional[int] = ..., transforms: _Optional[_Iterable[str]] = ...) -> None: ...

class IndexEvent(_message.Message):
    __slots__ = ("leg", "recipients", "state", "code", "at", "n", "service", "attempts")
    LEG_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    leg: int
    recipients: _containers.RepeatedScalarFieldContainer[int]
    state: _mail_pb2.State
    code: str
    at: _timestamp_pb2.Timestamp
    n: int
    service: str
    attempts: int
    def __init__(self, leg: _Optional[int] = ..., recipients: _Optional[_Iterable[int]] = ..., state: _Optional[_Union[_mail_pb2.State, str]] = ..., code: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., n: _Optional[int] = ..., service: _Optional[str] = ..., attempts: _Optional[int] = ...) -> None: ...
