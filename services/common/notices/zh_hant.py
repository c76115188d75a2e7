"""The words of every notice, in Traditional Chinese: name → (subject, text)."""

from __future__ import annotations

from collections.abc import Mapping

_MAIL = """\
郵件編號：{mail_id}
收件時間：{received}
寄件者：{sender}
收件者：{recipients}"""

WORDS: Mapping[str, tuple[str, str]] = {
    "hold.notice.reviewer": (
        "有郵件等候您審核",
        f"""\
依規則 {{rule}}，一封郵件已攔留，等候審核。
原因：{{reason}}

{_MAIL}
保留至：{{expires}}
逾期處理：{{at_expiry}}

偵測結果（已遮蔽）：
{{findings}}

檢視並處理：{{link}}
放行：{{release_link}}
刪除：{{delete_link}}
""",
    ),
    "hold.notice.sender": (
        "您的郵件正在等候審核",
        f"""\
您的郵件已攔留，等候審核，不必重寄。
原因：{{reason}}

{_MAIL}
保留至：{{expires}}
逾期處理：{{at_expiry}}

自行處理：{{link}}
放行：{{release_link}}
刪除：{{delete_link}}
""",
    ),
    "hold.escalated": (
        "逾期：郵件仍等候審核",
        f"""\
這封郵件未在期限內處理，目前仍攔留中，所有審核者皆可處理。
原因：{{reason}}

{_MAIL}
保留至：{{expires}}
逾期處理：{{at_expiry}}

檢視並處理：{{link}}
放行：{{release_link}}
刪除：{{delete_link}}
""",
    ),
    "hold.requested": (
        "收件者請求放行郵件",
        f"""\
{{requester}} 請求放行一封攔留中的郵件。
攔留原因：{{reason}}

{_MAIL}
保留至：{{expires}}

檢視並處理：{{link}}
放行：{{release_link}}
刪除：{{delete_link}}
""",
    ),
    "hold.note": (
        "關於一封攔留中的郵件",
        f"""\
審核者就一封攔留中的郵件通知您，該郵件尚未處理。
審核者：{{requester}}
備註：{{note}}
原因：{{reason}}

{_MAIL}
保留至：{{expires}}
""",
    ),
    "hold.digest": (
        "有 {number} 封郵件等候您審核",
        """\
有 {number} 封郵件等候您審核：

{items}

全部檢視：{link}
""",
    ),
    "hold.deleted": (
        "您的郵件未獲放行",
        f"""\
您被攔留的郵件未獲放行，並未送達下列收件者。
備註：{{note}}

{_MAIL}
""",
    ),
    "delay.notice": (
        "您的郵件將延後寄出",
        f"""\
您的郵件將於 {{expires}} 寄出，在此之前您可以取消。
原因：{{reason}}

{_MAIL}

取消寄送：{{link}}
""",
    ),
    "sealed.cover": (
        "{sender} 寄給您的加密郵件",
        """\
{sender} 寄給您一封加密郵件。

附件：{file}
開啟方式：{link}
密碼：{hint}

Windows：請先儲存附件，再以 7-Zip 開啟（檔案總管無法開啟 AES 加密檔）。
macOS：請以 Keka 或 The Unarchiver 開啟。
iPhone、iPad、Android：請先儲存到檔案，再以支援 AES ZIP 的應用程式（如 iZip、ZArchiver）開啟。
""",
    ),
    "sealed.password": (
        "您加密郵件的密碼",
        f"""\
您的郵件已加密寄出。此密碼只提供給您，請以電子郵件以外的方式告知收件者。

密碼：{{password}}
附件：{{file}}

{_MAIL}
""",
    ),
    "returned": (
        "您的郵件已退回",
        f"""\
您的郵件已退回，並未送達下列收件者。
原因：{{reason}}

{_MAIL}

偵測結果（已遮蔽）：
{{findings}}
""",
    ),
}
