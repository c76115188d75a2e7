from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TenantKey(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TENANT_KEY_UNSPECIFIED: _ClassVar[TenantKey]
    TENANT_KEY_ARCHIVE: _ClassVar[TenantKey]
    TENANT_KEY_TRACE: _ClassVar[TenantKey]
TENANT_KEY_UNSPECIFIED: TenantKey
TENANT_KEY_ARCHIVE: TenantKey
TENANT_KEY_TRACE: TenantKey

class OpenHeldRequest(_message.Message):
    __slots__ = ("tenant", "mail_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAIL_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    mail_id: str
    def __init__(self, tenant: _Optional[str] = ..., mail_id: _Optional[str] = ...) -> None: ...

class OpenHeldResponse(_message.Message):
    __slots__ = ("piece",)
    PIECE_FIELD_NUMBER: _ClassVar[int]
    piece: bytes
    def __init__(self, piece: _Optional[bytes] = ...) -> None: ...

class GetPipelineKeyRequest(_message.Message):
    __slots__ = ("day",)
    DAY_FIELD_NUMBER: _ClassVar[int]
    day: str
    def __init__(self, day: _Optional[str] = ...) -> None: ...

class GetPipelineKeyResponse(_message.Message):
    __slots__ = ("identities",)
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, identities: _Optional[_Iterable[str]] = ...) -> None: ...

class GetTraceKeyRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class GetTraceKeyResponse(_message.Message):
    __slots__ = ("identities",)
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, identities: _Optional[_Iterable[str]] = ...) -> None: ...

class CompleteDayRequest(_message.Message):
    __slots__ = ("day",)
    DAY_FIELD_NUMBER: _ClassVar[int]
    day: str
    def __init__(self, day: _Optional[str] = ...) -> None: ...

class CompleteDayResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RotateTenantKeyRequest(_message.Message):
    __slots__ = ("tenant", "key")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    key: TenantKey
    def __init__(self, tenant: _Optional[str] = ..., key: _Optional[_Union[TenantKey, str]] = ...) -> None: ...

class RotateTenantKeyResponse(_message.Message):
    __slots__ = ("version", "recipient")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    version: int
    recipient: str
    def __init__(self, version: _Optional[int] = ..., recipient: _Optional[str] = ...) -> None: ...
