import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.mail.v1 import mail_pb2 as _mail_pb2
from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HoldState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOLD_STATE_UNSPECIFIED: _ClassVar[HoldState]
    HOLD_STATE_HELD: _ClassVar[HoldState]
    HOLD_STATE_OVERDUE: _ClassVar[HoldState]
    HOLD_STATE_RELEASED: _ClassVar[HoldState]
    HOLD_STATE_DELETED: _ClassVar[HoldState]
    HOLD_STATE_RETURNED: _ClassVar[HoldState]
    HOLD_STATE_FORWARDED: _ClassVar[HoldState]
    HOLD_STATE_SEALED: _ClassVar[HoldState]
    HOLD_STATE_CANCELLED: _ClassVar[HoldState]

class SenderVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SENDER_VERDICT_UNSPECIFIED: _ClassVar[SenderVerdict]
    SENDER_VERDICT_ALLOW: _ClassVar[SenderVerdict]
    SENDER_VERDICT_BLOCK: _ClassVar[SenderVerdict]
HOLD_STATE_UNSPECIFIED: HoldState
HOLD_STATE_HELD: HoldState
HOLD_STATE_OVERDUE: HoldState
HOLD_STATE_RELEASED: HoldState
HOLD_STATE_DELETED: HoldState
HOLD_STATE_RETURNED: HoldState
HOLD_STATE_FORWARDED: HoldState
HOLD_STATE_SEALED: HoldState
HOLD_STATE_CANCELLED: HoldState
SENDER_VERDICT_UNSPECIFIED: SenderVerdict
SENDER_VERDICT_ALLOW: SenderVerdict
SENDER_VERDICT_BLOCK: SenderVerdict

class HoldStep(_message.Message):
    __slots__ = ("at", "by", "acting_for", "what", "level", "note", "detail", "forced")
    AT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    ACTING_FOR_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    by: str
    acting_for: str
    what: str
    level: int
    note: str
    detail: str
    forced: bool
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[str] = ..., acting_for: _Optional[str] = ..., what: _Optional[str] = ..., level: _Optional[int] = ..., note: _Optional[str] = ..., detail: _Optional[str] = ..., forced: _Optional[bool] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("id", "mail_id", "leg", "state", "direction", "sender", "recipients", "size", "received_at", "held_at", "expires_at", "on_expiry", "rule", "text", "reviewers", "decided_by", "decided_at", "note", "revision", "kind", "levels", "level", "claimed_by", "claimed_until", "escalated_at", "target", "steps", "findings")
    ID_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    HELD_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ON_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REVIEWERS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_BY_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_AT_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    mail_id: str
    leg: int
    state: HoldState
    direction: _mail_pb2.Direction
    sender: str
    recipients: _containers.RepeatedScalarFieldContainer[str]
    size: int
    received_at: _timestamp_pb2.Timestamp
    held_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    on_expiry: str
    rule: str
    text: str
    reviewers: _containers.RepeatedScalarFieldContainer[str]
    decided_by: str
    decided_at: _timestamp_pb2.Timestamp
    note: str
    revision: int
    kind: str
    levels: int
    level: int
    claimed_by: str
    claimed_until: _timestamp_pb2.Timestamp
    escalated_at: _timestamp_pb2.Timestamp
    target: str
    steps: _containers.RepeatedCompositeFieldContainer[HoldStep]
    findings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., mail_id: _Optional[str] = ..., leg: _Optional[int] = ..., state: _Optional[_Union[HoldState, str]] = ..., direction: _Optional[_Union[_mail_pb2.Direction, str]] = ..., sender: _Optional[str] = ..., recipients: _Optional[_Iterable[str]] = ..., size: _Optional[int] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., held_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., on_expiry: _Optional[str] = ..., rule: _Optional[str] = ..., text: _Optional[str] = ..., reviewers: _Optional[_Iterable[str]] = ..., decided_by: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ..., revision: _Optional[int] = ..., kind: _Optional[str] = ..., levels: _Optional[int] = ..., level: _Optional[int] = ..., claimed_by: _Optional[str] = ..., claimed_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., escalated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., target: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[HoldStep, _Mapping]]] = ..., findings: _Optional[_Iterable[str]] = ...) -> None: ...

class ListHoldsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "include_decided", "rule")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_DECIDED_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    include_decided: bool
    rule: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_decided: _Optional[bool] = ..., rule: _Optional[str] = ...) -> None: ...

class ListHoldsResponse(_message.Message):
    __slots__ = ("holds", "next_page_token")
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[Hold]
    next_page_token: str
    def __init__(self, holds: _Optional[_Iterable[_Union[Hold, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetHoldRequest(_message.Message):
    __slots__ = ("tenant", "id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class GetHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class ReleaseHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "note", "force")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    note: str
    force: bool
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., note: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class ReleaseHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class DeleteHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    note: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class DeleteHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class ReturnHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    note: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class ReturnHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class ForwardHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "note", "force", "to")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    note: str
    force: bool
    to: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., note: _Optional[str] = ..., force: _Optional[bool] = ..., to: _Optional[str] = ...) -> None: ...

class ForwardHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class SealHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "note", "force", "format", "password")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    note: str
    force: bool
    format: str
    password: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., note: _Optional[str] = ..., force: _Optional[bool] = ..., format: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class SealHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class CancelHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    note: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class CancelHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class ClaimHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "seconds", "take_over")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    TAKE_OVER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    seconds: int
    take_over: bool
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., seconds: _Optional[int] = ..., take_over: _Optional[bool] = ...) -> None: ...

class ClaimHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class UnclaimHoldRequest(_message.Message):
    __slots__ = ("tenant", "id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class UnclaimHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class NoteHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "note", "notify")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    NOTIFY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    note: str
    notify: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., note: _Optional[str] = ..., notify: _Optional[str] = ...) -> None: ...

class NoteHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class RequestReleaseRequest(_message.Message):
    __slots__ = ("tenant", "mail_id", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    note: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class RequestReleaseResponse(_message.Message):
    __slots__ = ("asked",)
    ASKED_FIELD_NUMBER: _ClassVar[int]
    asked: bool
    def __init__(self, asked: _Optional[bool] = ...) -> None: ...

class ReadHoldRequest(_message.Message):
    __slots__ = ("tenant", "id", "purpose")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    purpose: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., purpose: _Optional[str] = ...) -> None: ...

class ReadHoldResponse(_message.Message):
    __slots__ = ("piece",)
    PIECE_FIELD_NUMBER: _ClassVar[int]
    piece: bytes
    def __init__(self, piece: _Optional[bytes] = ...) -> None: ...

class Sender(_message.Message):
    __slots__ = ("address", "verdict", "by", "at", "note")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    address: str
    verdict: SenderVerdict
    by: str
    at: _timestamp_pb2.Timestamp
    note: str
    def __init__(self, address: _Optional[str] = ..., verdict: _Optional[_Union[SenderVerdict, str]] = ..., by: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...

class ListSendersRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListSendersResponse(_message.Message):
    __slots__ = ("senders",)
    SENDERS_FIELD_NUMBER: _ClassVar[int]
    senders: _containers.RepeatedCompositeFieldContainer[Sender]
    def __init__(self, senders: _Optional[_Iterable[_Union[Sender, _Mapping]]] = ...) -> None: ...

class SetSenderRequest(_message.Message):
    __slots__ = ("tenant", "id", "verdict", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    verdict: SenderVerdict
    note: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., verdict: _Optional[_Union[SenderVerdict, str]] = ..., note: _Optional[str] = ...) -> None: ...

class SetSenderResponse(_message.Message):
    __slots__ = ("sender",)
    SENDER_FIELD_NUMBER: _ClassVar[int]
    sender: Sender
    def __init__(self, sender: _Optional[_Union[Sender, _Mapping]] = ...) -> None: ...

class Deputy(_message.Message):
    __slots__ = ("reviewer", "deputy", "until")
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    DEPUTY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    reviewer: str
    deputy: str
    until: _timestamp_pb2.Timestamp
    def __init__(self, reviewer: _Optional[str] = ..., deputy: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDeputiesRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListDeputiesResponse(_message.Message):
    __slots__ = ("deputies",)
    DEPUTIES_FIELD_NUMBER: _ClassVar[int]
    deputies: _containers.RepeatedCompositeFieldContainer[Deputy]
    def __init__(self, deputies: _Optional[_Iterable[_Union[Deputy, _Mapping]]] = ...) -> None: ...

class SetDeputyRequest(_message.Message):
    __slots__ = ("tenant", "deputy", "until")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DEPUTY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    deputy: str
    until: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., deputy: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SetDeputyResponse(_message.Message):
    __slots__ = ("deputy",)
    DEPUTY_FIELD_NUMBER: _ClassVar[int]
    deputy: Deputy
    def __init__(self, deputy: _Optional[_Union[Deputy, _Mapping]] = ...) -> None: ...

class ClearDeputyRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ClearDeputyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeLinkRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class DescribeLinkResponse(_message.Message):
    __slots__ = ("action", "person", "expires_at", "hold", "language")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    action: str
    person: str
    expires_at: _timestamp_pb2.Timestamp
    hold: Hold
    language: str
    def __init__(self, action: _Optional[str] = ..., person: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., hold: _Optional[_Union[Hold, _Mapping]] = ..., language: _Optional[str] = ...) -> None: ...

class ActByLinkRequest(_message.Message):
    __slots__ = ("token", "note")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    token: str
    note: str
    def __init__(self, token: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class ActByLinkResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class Template(_message.Message):
    __slots__ = ("name", "language", "subject", "text", "revision", "fields")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    language: str
    subject: str
    text: str
    revision: int
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., language: _Optional[str] = ..., subject: _Optional[str] = ..., text: _Optional[str] = ..., revision: _Optional[int] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

class ListTemplatesRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListTemplatesResponse(_message.Message):
    __slots__ = ("templates",)
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    templates: _containers.RepeatedCompositeFieldContainer[Template]
    def __init__(self, templates: _Optional[_Iterable[_Union[Template, _Mapping]]] = ...) -> None: ...

class GetTemplateRequest(_message.Message):
    __slots__ = ("tenant", "name", "language")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    language: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class GetTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...

class SetTemplateRequest(_message.Message):
    __slots__ = ("tenant", "name", "language", "subject", "text")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    language: str
    subject: str
    text: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., language: _Optional[str] = ..., subject: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class SetTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...

class ResetTemplateRequest(_message.Message):
    __slots__ = ("tenant", "name", "language")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    language: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class ResetTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...
