"""The words of every notice, in English: name → (subject, text)."""

from __future__ import annotations

from collections.abc import Mapping

_MAIL = """\
Mail id: {mail_id}
Received: {received}
Sender: {sender}
Recipients: {recipients}"""

WORDS: Mapping[str, tuple[str, str]] = {
    "hold.notice.reviewer": (
        "A mail waits for your decision",
        f"""\
A mail is held for review by the rule {{rule}}.
Reason: {{reason}}

{_MAIL}
Waits until: {{expires}}
Then: {{at_expiry}}

What was found (masked):
{{findings}}

Look at it and decide: {{link}}
Release it: {{release_link}}
Delete it: {{delete_link}}
""",
    ),
    "hold.notice.sender": (
        "Your mail is held for review",
        f"""\
Your mail is held for review. You need not send it again.
Reason: {{reason}}

{_MAIL}
Waits until: {{expires}}
Then: {{at_expiry}}

Decide yourself: {{link}}
Release it: {{release_link}}
Delete it: {{delete_link}}
""",
    ),
    "hold.escalated": (
        "Overdue: a mail still waits for a decision",
        f"""\
Nobody decided this mail in time. It is still held, and every reviewer can decide it now.
Reason: {{reason}}

{_MAIL}
Waits until: {{expires}}
Then: {{at_expiry}}

Look at it and decide: {{link}}
Release it: {{release_link}}
Delete it: {{delete_link}}
""",
    ),
    "hold.requested": (
        "A recipient asks for a held mail",
        f"""\
{{requester}} asks for a mail that is held.
Reason for the hold: {{reason}}

{_MAIL}
Waits until: {{expires}}

Look at it and decide: {{link}}
Release it: {{release_link}}
Delete it: {{delete_link}}
""",
    ),
    "hold.note": (
        "A held mail concerns you",
        f"""\
A reviewer wrote to you about a mail that is held. It is not decided yet.
From: {{requester}}
Note: {{note}}
Reason: {{reason}}

{_MAIL}
Waits until: {{expires}}
""",
    ),
    "hold.digest": (
        "{number} mails wait for your decision",
        """\
{number} mails wait for your decision:

{items}

All of them: {link}
""",
    ),
    "hold.deleted": (
        "Your mail was not released",
        f"""\
Your held mail was not released. It has not reached the recipients below.
Note: {{note}}

{_MAIL}
""",
    ),
    "delay.notice": (
        "Your mail leaves later",
        f"""\
Your mail waits until {{expires}} and leaves then. Until then you can cancel it.
Reason: {{reason}}

{_MAIL}

Cancel it: {{link}}
""",
    ),
    "sealed.cover": (
        "Encrypted mail from {sender}",
        """\
{sender} sent you an encrypted mail.

Attachment: {file}
To open it: {link}
Password: {hint}

Windows: save the attachment and open it with 7-Zip (the Explorer cannot open AES).
macOS: open it with Keka or The Unarchiver.
iPhone, iPad and Android: save it to your files and open it with an app that reads AES ZIP, such as ZArchiver or iZip.
""",
    ),
    "sealed.password": (
        "Password of your encrypted mail",
        f"""\
Your mail left encrypted. Only you get this password: give it to the recipients by another way than mail.

Password: {{password}}
Attachment: {{file}}

{_MAIL}
""",
    ),
    "returned": (
        "Your mail was returned",
        f"""\
Your mail was returned. It has not reached the recipients below.
Reason: {{reason}}

{_MAIL}

What was found (masked):
{{findings}}
""",
    ),
}
