"""Settings of the archive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.common.config import Secret, setting


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """Records, the index and the sweeper."""

    opensearch_url: str = setting("", "http(s)://HOST:PORT of OpenSearch; empty in `dev`: an embedded index")
    opensearch_user: str = setting("", "User name at OpenSearch; empty: none")
    opensearch_password: Secret = setting(Secret(""), "Password at OpenSearch")
    opensearch_ca: str = setting("", "CA file for https addresses; empty: the system's")
    replicas: int = setting(0, "Replicas of each index")
    refresh_interval: timedelta = setting(timedelta(seconds=5), "How soon a search sees what was indexed")
    batch_window: timedelta = setting(
        timedelta(milliseconds=40), "Longest wait of a fact for others to be written with"
    )
    batch_records: int = setting(1000, "Most records of one segment")
    index_window: timedelta = setting(
        timedelta(milliseconds=500), "How long changes of a mail are gathered before they are sent to the index"
    )
    sweep_after: timedelta = setting(
        timedelta(minutes=15), "Age at which a stored mail without an outcome is published again"
    )
    orphan_after: timedelta = setting(timedelta(hours=24), "Age at which a blob without a mail object is deleted")
    concurrency: int = setting(256, "Facts taken at once from each consumer")
    content_window: timedelta = setting(
        timedelta(milliseconds=250), "Longest wait of a mail's content for others to be indexed with"
    )
    content_threads: int = setting(2, "Threads that read mails for the content index")
    ingest_every: timedelta = setting(
        timedelta(minutes=10), "How often it is looked for days that are over and not sealed into the ingest log"
    )
    most_results: int = setting(100_000, "Most mails that one search may find; more is an error that says so")
    looks_per_hour: int = setting(600, "Searches and opened mails an hour, per grant and per person; 0: no limit")
    exports_per_hour: int = setting(100_000, "Exported mails an hour, per grant and per person; 0: no limit")
