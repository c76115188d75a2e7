"""The store behind a URL: `file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://container/prefix`.

Credentials, region and endpoint of a bucket come from its provider's own environment variables
(`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME`, …) or
from the machine's identity, so that no secret stands in a URL.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from services.common.errors import InvalidInput
from services.common.objects import ObjectStore
from services.common.objects.local import LocalStore
from services.common.objects.remote import Remote, RemoteStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_READ_RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=15)}
_NO_RETRIES: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}


def open_store(url: str) -> ObjectStore:
    """The store at `url`; raises `InvalidInput` for one it cannot read, `Unavailable` for a folder it cannot open."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise InvalidInput("a file store's URL is file:///absolute/path", field="store.url")
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme not in ("s3", "gs", "az") or not parts.netloc or parts.query or parts.fragment:
        raise InvalidInput("expected file:///…, s3://…, gs://… or az://…", field="store.url")
    if "@" in parts.netloc:
        raise InvalidInput("credentials belong in the environment, not in the store's URL", field="store.url")
    prefix = parts.path.strip("/") or None
    try:
        return RemoteStore(
            _remote(parts.scheme, parts.netloc, prefix, _READ_RETRIES),
            _remote(parts.scheme, parts.netloc, prefix, _NO_RETRIES),
        )
    except (BaseError, ValueError) as error:
        raise InvalidInput("the object store's settings are not accepted", field="store.url") from error


def _remote(scheme: str, bucket: str, prefix: str | None, retries: RetryConfig) -> Remote:
    client: ClientConfig = {"timeout": "60s", "connect_timeout": "5s", "allow_http": _plain_http()}
    if scheme == "gs":
        return GCSStore(bucket, prefix=prefix, client_options=client, retry_config=retries)
    if scheme == "az":
        return AzureStore(bucket, prefix=prefix, client_options=client, retry_config=retries)
    return S3Store(bucket, prefix=prefix, client_options=client, retry_config=retries)


def _plain_http() -> bool:
    """Whether the operator named an endpoint without TLS: then that is what they meant."""
    endpoints = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
    return any(os.environ.get(name, "").startswith("http://") for name in endpoints)
