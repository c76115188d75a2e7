"""The format of the audit logs: pure, without I/O, so that the service, its readers and verifiers share it.

`merkle` RFC 6962 hashes and proofs · `tiles` C2SP tlog-tiles · `note` signed notes and cosignatures ·
`checkpoint` signed tree heads · `proof` tlog-proof files · `entry` what a leaf says · `policy` whom to believe ·
`receipt` what a writer gets · `export`, `verify`, `access` an exported log and what may be wrong with it.
The format is specified in docs/audit-log.md.
"""
