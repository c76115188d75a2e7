import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PatternRule(_message.Message):
    __slots__ = ("patterns", "ignore_case", "context", "threshold")
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    patterns: _containers.RepeatedScalarFieldContainer[str]
    ignore_case: bool
    context: _containers.RepeatedScalarFieldContainer[str]
    threshold: int
    def __init__(self, patterns: _Optional[_Iterable[str]] = ..., ignore_case: _Optional[bool] = ..., context: _Optional[_Iterable[str]] = ..., threshold: _Optional[int] = ...) -> None: ...

class WeightedWord(_message.Message):
    __slots__ = ("word", "weight")
    WORD_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    word: str
    weight: int
    def __init__(self, word: _Optional[str] = ..., weight: _Optional[int] = ...) -> None: ...

class WordRule(_message.Message):
    __slots__ = ("words", "threshold")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedCompositeFieldContainer[WeightedWord]
    threshold: int
    def __init__(self, words: _Optional[_Iterable[_Union[WeightedWord, _Mapping]]] = ..., threshold: _Optional[int] = ...) -> None: ...

class OwnDetector(_message.Message):
    __slots__ = ("name", "about", "patterns", "words", "revision", "updated_at", "actor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    about: str
    patterns: PatternRule
    words: WordRule
    revision: int
    updated_at: _timestamp_pb2.Timestamp
    actor: str
    def __init__(self, name: _Optional[str] = ..., about: _Optional[str] = ..., patterns: _Optional[_Union[PatternRule, _Mapping]] = ..., words: _Optional[_Union[WordRule, _Mapping]] = ..., revision: _Optional[int] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ...) -> None: ...

class CreateOwnDetectorRequest(_message.Message):
    __slots__ = ("tenant", "detector")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    detector: OwnDetector
    def __init__(self, tenant: _Optional[str] = ..., detector: _Optional[_Union[OwnDetector, _Mapping]] = ...) -> None: ...

class CreateOwnDetectorResponse(_message.Message):
    __slots__ = ("detector",)
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    detector: OwnDetector
    def __init__(self, detector: _Optional[_Union[OwnDetector, _Mapping]] = ...) -> None: ...

class GetOwnDetectorRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class GetOwnDetectorResponse(_message.Message):
    __slots__ = ("detector",)
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    detector: OwnDetector
    def __init__(self, detector: _Optional[_Union[OwnDetector, _Mapping]] = ...) -> None: ...

class UpdateOwnDetectorRequest(_message.Message):
    __slots__ = ("tenant", "detector", "revision")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    detector: OwnDetector
    revision: int
    def __init__(self, tenant: _Optional[str] = ..., detector: _Optional[_Union[OwnDetector, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class UpdateOwnDetectorResponse(_message.Message):
    __slots__ = ("detector",)
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    detector: OwnDetector
    def __init__(self, detector: _Optional[_Union[OwnDetector, _Mapping]] = ...) -> None: ...

class DeleteOwnDetectorRequest(_message.Message):
    __slots__ = ("tenant", "name", "revision")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    revision: int
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class DeleteOwnDetectorResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
