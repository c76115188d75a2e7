from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Detector(_message.Message):
    __slots__ = ("name", "about", "family", "checksum", "source", "languages")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    name: str
    about: str
    family: str
    checksum: str
    source: str
    languages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., about: _Optional[str] = ..., family: _Optional[str] = ..., checksum: _Optional[str] = ..., source: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ...) -> None: ...

class ListDetectorsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDetectorsResponse(_message.Message):
    __slots__ = ("detectors", "next_page_token")
    DETECTORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    detectors: _containers.RepeatedCompositeFieldContainer[Detector]
    next_page_token: str
    def __init__(self, detectors: _Optional[_Iterable[_Union[Detector, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TestDetectorsRequest(_message.Message):
    __slots__ = ("tenant", "text", "file", "file_name", "detectors")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    DETECTORS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    text: str
    file: bytes
    file_name: str
    detectors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., text: _Optional[str] = ..., file: _Optional[bytes] = ..., file_name: _Optional[str] = ..., detectors: _Optional[_Iterable[str]] = ...) -> None: ...

class DetectorHit(_message.Message):
    __slots__ = ("detector", "masked", "confidence", "offset", "length", "part")
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    detector: str
    masked: str
    confidence: str
    offset: int
    length: int
    part: str
    def __init__(self, detector: _Optional[str] = ..., masked: _Optional[str] = ..., confidence: _Optional[str] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ..., part: _Optional[str] = ...) -> None: ...

class TestDetectorsResponse(_message.Message):
    __slots__ = ("hits", "truncated", "not_read")
    HITS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    NOT_READ_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[DetectorHit]
    truncated: bool
    not_read: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, hits: _Optional[_Iterable[_Union[DetectorHit, _Mapping]]] = ..., truncated: _Optional[bool] = ..., not_read: _Optional[_Iterable[str]] = ...) -> None: ...
