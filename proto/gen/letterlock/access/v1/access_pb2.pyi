import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from letterlock.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Case(_message.Message):
    __slots__ = ("case_id", "name", "state", "created_at", "created_by", "closed_at", "closed_by", "revision")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_BY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    case_id: str
    name: str
    state: str
    created_at: _timestamp_pb2.Timestamp
    created_by: str
    closed_at: _timestamp_pb2.Timestamp
    closed_by: str
    revision: int
    def __init__(self, case_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., closed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_by: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class Scope(_message.Message):
    __slots__ = ("domains", "people", "excluded", "after", "before")
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    domains: _containers.RepeatedScalarFieldContainer[str]
    people: _containers.RepeatedScalarFieldContainer[str]
    excluded: _containers.RepeatedScalarFieldContainer[str]
    after: str
    before: str
    def __init__(self, domains: _Optional[_Iterable[str]] = ..., people: _Optional[_Iterable[str]] = ..., excluded: _Optional[_Iterable[str]] = ..., after: _Optional[str] = ..., before: _Optional[str] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("approver", "at", "signed")
    APPROVER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    approver: str
    at: _timestamp_pb2.Timestamp
    signed: bool
    def __init__(self, approver: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signed: _Optional[bool] = ...) -> None: ...

class AccessRequest(_message.Message):
    __slots__ = ("request_id", "case_id", "state", "requester", "purpose", "query", "capabilities", "seconds", "scope", "one_time", "created_at", "approvals", "needed", "hash", "grant_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ONE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    case_id: str
    state: str
    requester: str
    purpose: str
    query: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    seconds: int
    scope: Scope
    one_time: bool
    created_at: _timestamp_pb2.Timestamp
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    needed: int
    hash: str
    grant_id: str
    def __init__(self, request_id: _Optional[str] = ..., case_id: _Optional[str] = ..., state: _Optional[str] = ..., requester: _Optional[str] = ..., purpose: _Optional[str] = ..., query: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., seconds: _Optional[int] = ..., scope: _Optional[_Union[Scope, _Mapping]] = ..., one_time: _Optional[bool] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., needed: _Optional[int] = ..., hash: _Optional[str] = ..., grant_id: _Optional[str] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("grant_id", "request_id", "case_id", "state", "requester", "purpose", "query", "capabilities", "scope", "one_time", "granted_at", "expires_at", "revoked_at", "revoked_by", "approvals", "hash")
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ONE_TIME_FIELD_NUMBER: _ClassVar[int]
    GRANTED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_BY_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    grant_id: str
    request_id: str
    case_id: str
    state: str
    requester: str
    purpose: str
    query: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    scope: Scope
    one_time: bool
    granted_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    revoked_at: _timestamp_pb2.Timestamp
    revoked_by: str
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    hash: str
    def __init__(self, grant_id: _Optional[str] = ..., request_id: _Optional[str] = ..., case_id: _Optional[str] = ..., state: _Optional[str] = ..., requester: _Optional[str] = ..., purpose: _Optional[str] = ..., query: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., scope: _Optional[_Union[Scope, _Mapping]] = ..., one_time: _Optional[bool] = ..., granted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoked_by: _Optional[str] = ..., approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., hash: _Optional[str] = ...) -> None: ...

class CreateCaseRequest(_message.Message):
    __slots__ = ("tenant", "name", "request_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    request_id: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateCaseResponse(_message.Message):
    __slots__ = ("case_id",)
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    case_id: str
    def __init__(self, case_id: _Optional[str] = ...) -> None: ...

class ListCasesRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCasesResponse(_message.Message):
    __slots__ = ("cases", "next_page_token")
    CASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    cases: _containers.RepeatedCompositeFieldContainer[Case]
    next_page_token: str
    def __init__(self, cases: _Optional[_Iterable[_Union[Case, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CloseCaseRequest(_message.Message):
    __slots__ = ("tenant", "case_id", "revision")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    case_id: str
    revision: int
    def __init__(self, tenant: _Optional[str] = ..., case_id: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class CloseCaseResponse(_message.Message):
    __slots__ = ("case",)
    CASE_FIELD_NUMBER: _ClassVar[int]
    case: Case
    def __init__(self, case: _Optional[_Union[Case, _Mapping]] = ...) -> None: ...

class RequestAccessRequest(_message.Message):
    __slots__ = ("tenant", "case_id", "query", "purpose", "capabilities", "duration", "scope", "one_time", "request_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ONE_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    case_id: str
    query: str
    purpose: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    duration: str
    scope: Scope
    one_time: bool
    request_id: str
    def __init__(self, tenant: _Optional[str] = ..., case_id: _Optional[str] = ..., query: _Optional[str] = ..., purpose: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., duration: _Optional[str] = ..., scope: _Optional[_Union[Scope, _Mapping]] = ..., one_time: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class RequestAccessResponse(_message.Message):
    __slots__ = ("request_id", "state", "approvals", "needed")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    state: str
    approvals: int
    needed: int
    def __init__(self, request_id: _Optional[str] = ..., state: _Optional[str] = ..., approvals: _Optional[int] = ..., needed: _Optional[int] = ...) -> None: ...

class ListRequestsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "case_id", "state")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    case_id: str
    state: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., case_id: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class ListRequestsResponse(_message.Message):
    __slots__ = ("requests", "next_page_token")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[AccessRequest]
    next_page_token: str
    def __init__(self, requests: _Optional[_Iterable[_Union[AccessRequest, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetRequestRequest(_message.Message):
    __slots__ = ("tenant", "request_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetRequestResponse(_message.Message):
    __slots__ = ("request", "canonical")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_FIELD_NUMBER: _ClassVar[int]
    request: AccessRequest
    canonical: bytes
    def __init__(self, request: _Optional[_Union[AccessRequest, _Mapping]] = ..., canonical: _Optional[bytes] = ...) -> None: ...

class ApproveRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "hash", "signature")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    hash: str
    signature: bytes
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., hash: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ApproveResponse(_message.Message):
    __slots__ = ("request_id", "grant_id", "state")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    grant_id: str
    state: str
    def __init__(self, request_id: _Optional[str] = ..., grant_id: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class RefuseRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "reason")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    reason: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RefuseResponse(_message.Message):
    __slots__ = ("request_id", "state")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    state: str
    def __init__(self, request_id: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("tenant", "id", "reason")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    reason: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeResponse(_message.Message):
    __slots__ = ("request_id", "grant_id", "state")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    grant_id: str
    state: str
    def __init__(self, request_id: _Optional[str] = ..., grant_id: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class ListGrantsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "case_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    case_id: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., case_id: _Optional[str] = ...) -> None: ...

class ListGrantsResponse(_message.Message):
    __slots__ = ("grants", "next_page_token")
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    next_page_token: str
    def __init__(self, grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetGrantRequest(_message.Message):
    __slots__ = ("tenant", "grant_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    grant_id: str
    def __init__(self, tenant: _Optional[str] = ..., grant_id: _Optional[str] = ...) -> None: ...

class GetGrantResponse(_message.Message):
    __slots__ = ("grant",)
    GRANT_FIELD_NUMBER: _ClassVar[int]
    grant: Grant
    def __init__(self, grant: _Optional[_Union[Grant, _Mapping]] = ...) -> None: ...

class ConsentPersonRequest(_message.Message):
    __slots__ = ("tenant", "address")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    address: str
    def __init__(self, tenant: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class ConsentPersonResponse(_message.Message):
    __slots__ = ("address", "roles", "code", "code_expires_at")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CODE_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    address: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    code: str
    code_expires_at: _timestamp_pb2.Timestamp
    def __init__(self, address: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., code: _Optional[str] = ..., code_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class IssueCodeRequest(_message.Message):
    __slots__ = ("tenant", "address")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    address: str
    def __init__(self, tenant: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class IssueCodeResponse(_message.Message):
    __slots__ = ("address", "code", "code_expires_at")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CODE_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    address: str
    code: str
    code_expires_at: _timestamp_pb2.Timestamp
    def __init__(self, address: _Optional[str] = ..., code: _Optional[str] = ..., code_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EnrolRequest(_message.Message):
    __slots__ = ("address", "code", "signing_key", "proof", "token_sha256")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    TOKEN_SHA256_FIELD_NUMBER: _ClassVar[int]
    address: str
    code: str
    signing_key: bytes
    proof: bytes
    token_sha256: str
    def __init__(self, address: _Optional[str] = ..., code: _Optional[str] = ..., signing_key: _Optional[bytes] = ..., proof: _Optional[bytes] = ..., token_sha256: _Optional[str] = ...) -> None: ...

class EnrolResponse(_message.Message):
    __slots__ = ("address", "signing_key", "token")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    address: str
    signing_key: bool
    token: bool
    def __init__(self, address: _Optional[str] = ..., signing_key: _Optional[bool] = ..., token: _Optional[bool] = ...) -> None: ...

class SodReportRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class SodReportResponse(_message.Message):
    __slots__ = ("combinations", "people", "sound")
    class Combination(_message.Message):
        __slots__ = ("roles", "reaches", "rpcs", "forbidden", "violations")
        ROLES_FIELD_NUMBER: _ClassVar[int]
        REACHES_FIELD_NUMBER: _ClassVar[int]
        RPCS_FIELD_NUMBER: _ClassVar[int]
        FORBIDDEN_FIELD_NUMBER: _ClassVar[int]
        VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
        roles: _containers.RepeatedScalarFieldContainer[str]
        reaches: _containers.RepeatedScalarFieldContainer[str]
        rpcs: int
        forbidden: str
        violations: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, roles: _Optional[_Iterable[str]] = ..., reaches: _Optional[_Iterable[str]] = ..., rpcs: _Optional[int] = ..., forbidden: _Optional[str] = ..., violations: _Optional[_Iterable[str]] = ...) -> None: ...
    class Holder(_message.Message):
        __slots__ = ("address", "roles", "pending", "signing_key")
        ADDRESS_FIELD_NUMBER: _ClassVar[int]
        ROLES_FIELD_NUMBER: _ClassVar[int]
        PENDING_FIELD_NUMBER: _ClassVar[int]
        SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
        address: str
        roles: _containers.RepeatedScalarFieldContainer[str]
        pending: _containers.RepeatedScalarFieldContainer[str]
        signing_key: bool
        def __init__(self, address: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., pending: _Optional[_Iterable[str]] = ..., signing_key: _Optional[bool] = ...) -> None: ...
    COMBINATIONS_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    SOUND_FIELD_NUMBER: _ClassVar[int]
    combinations: _containers.RepeatedCompositeFieldContainer[SodReportResponse.Combination]
    people: _containers.RepeatedCompositeFieldContainer[SodReportResponse.Holder]
    sound: bool
    def __init__(self, combinations: _Optional[_Iterable[_Union[SodReportResponse.Combination, _Mapping]]] = ..., people: _Optional[_Iterable[_Union[SodReportResponse.Holder, _Mapping]]] = ..., sound: _Optional[bool] = ...) -> None: ...
