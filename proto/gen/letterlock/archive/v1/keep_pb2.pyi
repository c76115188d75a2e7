from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProveRequest(_message.Message):
    __slots__ = ("tenant", "mail_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ...) -> None: ...

class ProveResponse(_message.Message):
    __slots__ = ("tenant_id", "key", "proof")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    key: str
    proof: bytes
    def __init__(self, tenant_id: _Optional[str] = ..., key: _Optional[str] = ..., proof: _Optional[bytes] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("tenant", "after")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    after: str
    def __init__(self, tenant: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("day", "checked", "unsealed", "differences")
    DAY_FIELD_NUMBER: _ClassVar[int]
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    UNSEALED_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    day: str
    checked: int
    unsealed: int
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    def __init__(self, day: _Optional[str] = ..., checked: _Optional[int] = ..., unsealed: _Optional[int] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("kind", "what", "day", "detail")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    kind: str
    what: str
    day: str
    detail: str
    def __init__(self, kind: _Optional[str] = ..., what: _Optional[str] = ..., day: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...
