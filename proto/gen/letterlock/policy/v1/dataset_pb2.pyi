import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SetKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SET_KIND_UNSPECIFIED: _ClassVar[SetKind]
    SET_KIND_EXACT_DATA: _ClassVar[SetKind]
    SET_KIND_FINGERPRINT: _ClassVar[SetKind]
SET_KIND_UNSPECIFIED: SetKind
SET_KIND_EXACT_DATA: SetKind
SET_KIND_FINGERPRINT: SetKind

class DataSet(_message.Message):
    __slots__ = ("name", "kind", "columns", "rows", "documents", "document_count", "revision", "updated_at", "actor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: SetKind
    columns: _containers.RepeatedScalarFieldContainer[str]
    rows: int
    documents: _containers.RepeatedScalarFieldContainer[str]
    document_count: int
    revision: int
    updated_at: _timestamp_pb2.Timestamp
    actor: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[SetKind, str]] = ..., columns: _Optional[_Iterable[str]] = ..., rows: _Optional[int] = ..., documents: _Optional[_Iterable[str]] = ..., document_count: _Optional[int] = ..., revision: _Optional[int] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ...) -> None: ...

class CreateSetRequest(_message.Message):
    __slots__ = ("tenant", "name", "kind")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    kind: SetKind
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[_Union[SetKind, str]] = ...) -> None: ...

class CreateSetResponse(_message.Message):
    __slots__ = ("set",)
    SET_FIELD_NUMBER: _ClassVar[int]
    set: DataSet
    def __init__(self, set: _Optional[_Union[DataSet, _Mapping]] = ...) -> None: ...

class ListSetsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSetsResponse(_message.Message):
    __slots__ = ("sets", "next_page_token")
    SETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sets: _containers.RepeatedCompositeFieldContainer[DataSet]
    next_page_token: str
    def __init__(self, sets: _Optional[_Iterable[_Union[DataSet, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetSetRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class GetSetResponse(_message.Message):
    __slots__ = ("set",)
    SET_FIELD_NUMBER: _ClassVar[int]
    set: DataSet
    def __init__(self, set: _Optional[_Union[DataSet, _Mapping]] = ...) -> None: ...

class DeleteSetRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DeleteSetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Row(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cells: _Optional[_Iterable[str]] = ...) -> None: ...

class UploadRowsRequest(_message.Message):
    __slots__ = ("tenant", "set", "upload", "part", "columns", "rows", "line")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    set: str
    upload: str
    part: int
    columns: _containers.RepeatedScalarFieldContainer[str]
    rows: _containers.RepeatedCompositeFieldContainer[Row]
    line: int
    def __init__(self, tenant: _Optional[str] = ..., set: _Optional[str] = ..., upload: _Optional[str] = ..., part: _Optional[int] = ..., columns: _Optional[_Iterable[str]] = ..., rows: _Optional[_Iterable[_Union[Row, _Mapping]]] = ..., line: _Optional[int] = ...) -> None: ...

class UploadRowsResponse(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    def __init__(self, rows: _Optional[int] = ...) -> None: ...

class CommitRowsRequest(_message.Message):
    __slots__ = ("tenant", "set", "upload", "parts")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    set: str
    upload: str
    parts: int
    def __init__(self, tenant: _Optional[str] = ..., set: _Optional[str] = ..., upload: _Optional[str] = ..., parts: _Optional[int] = ...) -> None: ...

class CommitRowsResponse(_message.Message):
    __slots__ = ("set",)
    SET_FIELD_NUMBER: _ClassVar[int]
    set: DataSet
    def __init__(self, set: _Optional[_Union[DataSet, _Mapping]] = ...) -> None: ...

class AddDocumentRequest(_message.Message):
    __slots__ = ("tenant", "set", "name", "file")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    set: str
    name: str
    file: bytes
    def __init__(self, tenant: _Optional[str] = ..., set: _Optional[str] = ..., name: _Optional[str] = ..., file: _Optional[bytes] = ...) -> None: ...

class AddDocumentResponse(_message.Message):
    __slots__ = ("set",)
    SET_FIELD_NUMBER: _ClassVar[int]
    set: DataSet
    def __init__(self, set: _Optional[_Union[DataSet, _Mapping]] = ...) -> None: ...

class RemoveDocumentRequest(_message.Message):
    __slots__ = ("tenant", "set", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    set: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., set: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class RemoveDocumentResponse(_message.Message):
    __slots__ = ("set",)
    SET_FIELD_NUMBER: _ClassVar[int]
    set: DataSet
    def __init__(self, set: _Optional[_Union[DataSet, _Mapping]] = ...) -> None: ...
