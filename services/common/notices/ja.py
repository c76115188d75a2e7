"""The words of every notice, in Japanese: name → (subject, text)."""

from __future__ import annotations

from collections.abc import Mapping

_MAIL = """\
メールID：{mail_id}
受信日時：{received}
差出人：{sender}
宛先：{recipients}"""

WORDS: Mapping[str, tuple[str, str]] = {
    "hold.notice.reviewer": (
        "承認待ちのメールがあります",
        f"""\
ルール {{rule}} により、メールを保留しました。承認をお待ちしています。
理由：{{reason}}

{_MAIL}
期限：{{expires}}
期限後の扱い：{{at_expiry}}

検出内容（伏せ字）：
{{findings}}

確認と判断：{{link}}
解放する：{{release_link}}
削除する：{{delete_link}}
""",
    ),
    "hold.notice.sender": (
        "お送りのメールは承認待ちです",
        f"""\
お送りのメールは承認待ちのため保留されています。再送は不要です。
理由：{{reason}}

{_MAIL}
期限：{{expires}}
期限後の扱い：{{at_expiry}}

ご自身で判断する：{{link}}
解放する：{{release_link}}
削除する：{{delete_link}}
""",
    ),
    "hold.escalated": (
        "期限超過：メールが承認待ちのままです",
        f"""\
期限内に判断されなかったため、メールは保留されたままです。すべての承認者が判断できます。
理由：{{reason}}

{_MAIL}
期限：{{expires}}
期限後の扱い：{{at_expiry}}

確認と判断：{{link}}
解放する：{{release_link}}
削除する：{{delete_link}}
""",
    ),
    "hold.requested": (
        "受信者から保留メールの解放依頼があります",
        f"""\
{{requester}} さんが、保留中のメールの解放を依頼しています。
保留の理由：{{reason}}

{_MAIL}
期限：{{expires}}

確認と判断：{{link}}
解放する：{{release_link}}
削除する：{{delete_link}}
""",
    ),
    "hold.note": (
        "保留中のメールについて",
        f"""\
保留中のメールについて、承認者からのお知らせです。まだ判断されていません。
承認者：{{requester}}
備考：{{note}}
理由：{{reason}}

{_MAIL}
期限：{{expires}}
""",
    ),
    "hold.digest": (
        "承認待ちのメールが {number} 通あります",
        """\
承認待ちのメールが {number} 通あります。

{items}

一覧：{link}
""",
    ),
    "hold.deleted": (
        "お送りのメールは解放されませんでした",
        f"""\
保留されていたメールは解放されませんでした。下記の宛先には届いていません。
備考：{{note}}

{_MAIL}
""",
    ),
    "delay.notice": (
        "お送りのメールは後で送信されます",
        f"""\
お送りのメールは {{expires}} に送信されます。それまでは取り消せます。
理由：{{reason}}

{_MAIL}

取り消す：{{link}}
""",
    ),
    "sealed.cover": (
        "{sender} さんからの暗号化メール",
        """\
{sender} さんから暗号化メールが届きました。

添付ファイル：{file}
開く場所：{link}
パスワード：{hint}

Windows：添付を保存し、7-Zip で開いてください（エクスプローラーは AES を開けません）。
macOS：Keka または The Unarchiver で開いてください。
iPhone・iPad・Android：ファイルに保存し、AES ZIP 対応アプリ（iZip、ZArchiver など）で開いてください。
""",
    ),
    "sealed.password": (
        "暗号化メールのパスワード",
        f"""\
お送りのメールは暗号化して送信しました。このパスワードはあなたにだけお知らせします。メール以外の方法で受信者にお伝えください。

パスワード：{{password}}
添付ファイル：{{file}}

{_MAIL}
""",
    ),
    "returned": (
        "お送りのメールは差し戻されました",
        f"""\
お送りのメールは差し戻されました。下記の宛先には届いていません。
理由：{{reason}}

{_MAIL}

検出内容（伏せ字）：
{{findings}}
""",
    ),
}
