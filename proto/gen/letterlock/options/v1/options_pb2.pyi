from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Permission(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERMISSION_UNSPECIFIED: _ClassVar[Permission]
    PERMISSION_OPERATE: _ClassVar[Permission]
    PERMISSION_DIRECTORY: _ClassVar[Permission]
    PERMISSION_POLICY: _ClassVar[Permission]
    PERMISSION_REVIEW: _ClassVar[Permission]
    PERMISSION_TRACE: _ClassVar[Permission]
    PERMISSION_ANY: _ClassVar[Permission]
    PERMISSION_INTERNAL: _ClassVar[Permission]
    PERMISSION_AUDIT: _ClassVar[Permission]
    PERMISSION_PUBLIC: _ClassVar[Permission]
    PERMISSION_READ: _ClassVar[Permission]
    PERMISSION_CASE: _ClassVar[Permission]
    PERMISSION_REQUEST: _ClassVar[Permission]
    PERMISSION_APPROVE: _ClassVar[Permission]
    PERMISSION_CONSENT: _ClassVar[Permission]
PERMISSION_UNSPECIFIED: Permission
PERMISSION_OPERATE: Permission
PERMISSION_DIRECTORY: Permission
PERMISSION_POLICY: Permission
PERMISSION_REVIEW: Permission
PERMISSION_TRACE: Permission
PERMISSION_ANY: Permission
PERMISSION_INTERNAL: Permission
PERMISSION_AUDIT: Permission
PERMISSION_PUBLIC: Permission
PERMISSION_READ: Permission
PERMISSION_CASE: Permission
PERMISSION_REQUEST: Permission
PERMISSION_APPROVE: Permission
PERMISSION_CONSENT: Permission
PERMISSION_FIELD_NUMBER: _ClassVar[int]
permission: _descriptor.FieldDescriptor
CALLER_FIELD_NUMBER: _ClassVar[int]
caller: _descriptor.FieldDescriptor
