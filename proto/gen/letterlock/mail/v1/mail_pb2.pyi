import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_INBOUND: _ClassVar[Direction]
    DIRECTION_OUTBOUND: _ClassVar[Direction]
    DIRECTION_INTERNAL: _ClassVar[Direction]

class Disposition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPOSITION_UNSPECIFIED: _ClassVar[Disposition]
    DISPOSITION_DELIVER: _ClassVar[Disposition]
    DISPOSITION_DELAY: _ClassVar[Disposition]
    DISPOSITION_HOLD: _ClassVar[Disposition]
    DISPOSITION_RETURN: _ClassVar[Disposition]
    DISPOSITION_REFUSE: _ClassVar[Disposition]
    DISPOSITION_DELETE: _ClassVar[Disposition]

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_ACCEPTED: _ClassVar[Kind]
    KIND_DECIDED: _ClassVar[Kind]
    KIND_RELEASED: _ClassVar[Kind]
    KIND_SEALED: _ClassVar[Kind]
    KIND_OUTCOME: _ClassVar[Kind]

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_ACCEPTED: _ClassVar[State]
    STATE_HELD: _ClassVar[State]
    STATE_SEALED: _ClassVar[State]
    STATE_DELIVERED: _ClassVar[State]
    STATE_DEFERRED: _ClassVar[State]
    STATE_RETURNED: _ClassVar[State]
    STATE_REFUSED: _ClassVar[State]
    STATE_DELETED: _ClassVar[State]
DIRECTION_UNSPECIFIED: Direction
DIRECTION_INBOUND: Direction
DIRECTION_OUTBOUND: Direction
DIRECTION_INTERNAL: Direction
DISPOSITION_UNSPECIFIED: Disposition
DISPOSITION_DELIVER: Disposition
DISPOSITION_DELAY: Disposition
DISPOSITION_HOLD: Disposition
DISPOSITION_RETURN: Disposition
DISPOSITION_REFUSE: Disposition
DISPOSITION_DELETE: Disposition
KIND_UNSPECIFIED: Kind
KIND_ACCEPTED: Kind
KIND_DECIDED: Kind
KIND_RELEASED: Kind
KIND_SEALED: Kind
KIND_OUTCOME: Kind
STATE_UNSPECIFIED: State
STATE_ACCEPTED: State
STATE_HELD: State
STATE_SEALED: State
STATE_DELIVERED: State
STATE_DEFERRED: State
STATE_RETURNED: State
STATE_REFUSED: State
STATE_DELETED: State

class Peer(_message.Message):
    __slots__ = ("address", "helo", "tls", "account", "connector")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HELO_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    address: str
    helo: str
    tls: str
    account: str
    connector: str
    def __init__(self, address: _Optional[str] = ..., helo: _Optional[str] = ..., tls: _Optional[str] = ..., account: _Optional[str] = ..., connector: _Optional[str] = ...) -> None: ...

class Recipient(_message.Message):
    __slots__ = ("address", "direction", "notify", "orcpt", "added")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    NOTIFY_FIELD_NUMBER: _ClassVar[int]
    ORCPT_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    address: str
    direction: Direction
    notify: _containers.RepeatedScalarFieldContainer[str]
    orcpt: str
    added: bool
    def __init__(self, address: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., notify: _Optional[_Iterable[str]] = ..., orcpt: _Optional[str] = ..., added: _Optional[bool] = ...) -> None: ...

class Envelope(_message.Message):
    __slots__ = ("tenant", "mail_id", "sender", "recipients", "received_at", "peer", "body", "smtputf8", "ret", "envid", "size", "sha256", "origin", "bare_newlines")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SMTPUTF8_FIELD_NUMBER: _ClassVar[int]
    RET_FIELD_NUMBER: _ClassVar[int]
    ENVID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    BARE_NEWLINES_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    sender: str
    recipients: _containers.RepeatedCompositeFieldContainer[Recipient]
    received_at: _timestamp_pb2.Timestamp
    peer: Peer
    body: str
    smtputf8: bool
    ret: str
    envid: str
    size: int
    sha256: bytes
    origin: str
    bare_newlines: bool
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., sender: _Optional[str] = ..., recipients: _Optional[_Iterable[_Union[Recipient, _Mapping]]] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., peer: _Optional[_Union[Peer, _Mapping]] = ..., body: _Optional[str] = ..., smtputf8: _Optional[bool] = ..., ret: _Optional[str] = ..., envid: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[bytes] = ..., origin: _Optional[str] = ..., bare_newlines: _Optional[bool] = ...) -> None: ...

class Transform(_message.Message):
    __slots__ = ("kind", "rule", "settings")
    KIND_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    rule: str
    settings: bytes
    def __init__(self, kind: _Optional[str] = ..., rule: _Optional[str] = ..., settings: _Optional[bytes] = ...) -> None: ...

class Leg(_message.Message):
    __slots__ = ("number", "recipients", "disposition", "rule", "text", "seconds", "reviewers", "on_expiry", "transforms", "redirect", "levels")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    REVIEWERS_FIELD_NUMBER: _ClassVar[int]
    ON_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    TRANSFORMS_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    number: int
    recipients: _containers.RepeatedScalarFieldContainer[int]
    disposition: Disposition
    rule: str
    text: str
    seconds: int
    reviewers: _containers.RepeatedScalarFieldContainer[str]
    on_expiry: str
    transforms: _containers.RepeatedCompositeFieldContainer[Transform]
    redirect: _containers.RepeatedScalarFieldContainer[str]
    levels: int
    def __init__(self, number: _Optional[int] = ..., recipients: _Optional[_Iterable[int]] = ..., disposition: _Optional[_Union[Disposition, str]] = ..., rule: _Optional[str] = ..., text: _Optional[str] = ..., seconds: _Optional[int] = ..., reviewers: _Optional[_Iterable[str]] = ..., on_expiry: _Optional[str] = ..., transforms: _Optional[_Iterable[_Union[Transform, _Mapping]]] = ..., redirect: _Optional[_Iterable[str]] = ..., levels: _Optional[int] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("complete", "parts", "not_inspected", "ambiguities")
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    NOT_INSPECTED_FIELD_NUMBER: _ClassVar[int]
    AMBIGUITIES_FIELD_NUMBER: _ClassVar[int]
    complete: bool
    parts: int
    not_inspected: _containers.RepeatedCompositeFieldContainer[NotInspected]
    ambiguities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, complete: _Optional[bool] = ..., parts: _Optional[int] = ..., not_inspected: _Optional[_Iterable[_Union[NotInspected, _Mapping]]] = ..., ambiguities: _Optional[_Iterable[str]] = ...) -> None: ...

class NotInspected(_message.Message):
    __slots__ = ("part", "reason")
    PART_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    part: str
    reason: str
    def __init__(self, part: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RuleWhy(_message.Message):
    __slots__ = ("rule", "mode", "matched", "recipients", "predicates", "error")
    RULE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    PREDICATES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    rule: str
    mode: str
    matched: bool
    recipients: _containers.RepeatedScalarFieldContainer[int]
    predicates: _containers.RepeatedCompositeFieldContainer[PredicateWhy]
    error: str
    def __init__(self, rule: _Optional[str] = ..., mode: _Optional[str] = ..., matched: _Optional[bool] = ..., recipients: _Optional[_Iterable[int]] = ..., predicates: _Optional[_Iterable[_Union[PredicateWhy, _Mapping]]] = ..., error: _Optional[str] = ...) -> None: ...

class PredicateWhy(_message.Message):
    __slots__ = ("path", "truth", "spans")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TRUTH_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    path: str
    truth: bool
    spans: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, path: _Optional[str] = ..., truth: _Optional[bool] = ..., spans: _Optional[_Iterable[str]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("tenant", "mail_id", "revision", "decided_at", "recipients", "legs", "why", "coverage", "origin")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    revision: int
    decided_at: _timestamp_pb2.Timestamp
    recipients: _containers.RepeatedCompositeFieldContainer[Recipient]
    legs: _containers.RepeatedCompositeFieldContainer[Leg]
    why: _containers.RepeatedCompositeFieldContainer[RuleWhy]
    coverage: Coverage
    origin: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., revision: _Optional[int] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recipients: _Optional[_Iterable[_Union[Recipient, _Mapping]]] = ..., legs: _Optional[_Iterable[_Union[Leg, _Mapping]]] = ..., why: _Optional[_Iterable[_Union[RuleWhy, _Mapping]]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., origin: _Optional[str] = ...) -> None: ...

class Trace(_message.Message):
    __slots__ = ("envelope", "decision", "legs", "outcome", "blob", "actor", "note")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    envelope: Envelope
    decision: Decision
    legs: _containers.RepeatedScalarFieldContainer[int]
    outcome: Outcome
    blob: bool
    actor: str
    note: str
    def __init__(self, envelope: _Optional[_Union[Envelope, _Mapping]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., legs: _Optional[_Iterable[int]] = ..., outcome: _Optional[_Union[Outcome, _Mapping]] = ..., blob: _Optional[bool] = ..., actor: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class Sealed(_message.Message):
    __slots__ = ("key_id", "nonce", "box")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    nonce: bytes
    box: bytes
    def __init__(self, key_id: _Optional[str] = ..., nonce: _Optional[bytes] = ..., box: _Optional[bytes] = ...) -> None: ...

class Fact(_message.Message):
    __slots__ = ("tenant", "mail_id", "kind", "trace", "content")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    kind: Kind
    trace: Sealed
    content: Sealed
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., kind: _Optional[_Union[Kind, str]] = ..., trace: _Optional[_Union[Sealed, _Mapping]] = ..., content: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("tenant", "mail_id", "leg", "recipients", "state", "code", "detail", "at", "n", "service", "actor", "remote", "attempts")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    leg: int
    recipients: _containers.RepeatedScalarFieldContainer[int]
    state: State
    code: str
    detail: str
    at: _timestamp_pb2.Timestamp
    n: int
    service: str
    actor: str
    remote: str
    attempts: int
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., leg: _Optional[int] = ..., recipients: _Optional[_Iterable[int]] = ..., state: _Optional[_Union[State, str]] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., n: _Optional[int] = ..., service: _Optional[str] = ..., actor: _Optional[str] = ..., remote: _Optional[str] = ..., attempts: _Optional[int] = ...) -> None: ...

class DecideRequest(_message.Message):
    __slots__ = ("tenant", "mail_id", "trace", "content")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    trace: Sealed
    content: Sealed
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., trace: _Optional[_Union[Sealed, _Mapping]] = ..., content: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...

class DecideResponse(_message.Message):
    __slots__ = ("busy", "decision")
    BUSY_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    busy: bool
    decision: Sealed
    def __init__(self, busy: _Optional[bool] = ..., decision: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...

class ObjectHeader(_message.Message):
    __slots__ = ("tenant", "mail_id", "envelope", "decision", "blob", "writer")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    envelope: Envelope
    decision: Decision
    blob: bool
    writer: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., envelope: _Optional[_Union[Envelope, _Mapping]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., blob: _Optional[bool] = ..., writer: _Optional[str] = ...) -> None: ...

class ContentHeader(_message.Message):
    __slots__ = ("tenant", "mail_id", "leg", "kind", "reason", "rules", "manifest", "writer", "size", "sha256", "recipients", "variant", "variants")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    leg: int
    kind: str
    reason: str
    rules: _containers.RepeatedScalarFieldContainer[str]
    manifest: bytes
    writer: str
    size: int
    sha256: bytes
    recipients: _containers.RepeatedScalarFieldContainer[int]
    variant: int
    variants: int
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ..., leg: _Optional[int] = ..., kind: _Optional[str] = ..., reason: _Optional[str] = ..., rules: _Optional[_Iterable[str]] = ..., manifest: _Optional[bytes] = ..., writer: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[bytes] = ..., recipients: _Optional[_Iterable[int]] = ..., variant: _Optional[int] = ..., variants: _Optional[int] = ...) -> None: ...
