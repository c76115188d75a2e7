"""Passwords that a mail may carry for its own attachments, the likelier first."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 200
_SCANNED = 200_000
_WORD = (
    r"pass\s?word|pass\s?code|pass\s?phrase|passwd|pwd|pw|pin|key|密碼|密码|口令|解壓碼|解压码|通關密語|パスワード|ﾊﾟｽﾜｰﾄﾞ"
    r"|暗証番号|暗証|暗号|비밀번호|암호|kennwort|passwort|mot de passe|contrase[nñ]a|senha|пароль"
)
_LINK = r"is|are|of|for the \w{1,20} is|為|为|是|は|、|:|：|=|-|–|—|→|>|「|『|【|\"|'|\(|\[|<"
_NAMED = re.compile(
    rf"(?:{_WORD})[ \t\u3000]{{0,8}}"
    rf"(?:(?:{_LINK})[ \t\u3000]{{0,8}}){{0,4}}(?:\r?\n[ \t]{{0,8}})?([^\s「」『』【】<>]{{3,64}})",
    re.IGNORECASE,
)
_LONE = re.compile(r"(?m)^[ \t]{0,8}([^\s]{4,64})[ \t]{0,8}\r?$")
_TOKEN = re.compile(r"[!-~]{4,64}")
_MIXED = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9])|(?=.*[0-9])(?=.*[^\w\s])|^[0-9]{4,16}$")
_END = re.compile("[。、，；！？]")
_EDGES = ".,;:!?。、，；：！？)」』】]>\"'`*_"
_OPEN = "(「『【[<\"'`*_"


def candidates(texts: Iterable[str], names: Iterable[str] = ()) -> tuple[str, ...]:
    """At most `MOST` words of the texts (subject first) that may be a password, each without what surrounds it.

    Those that are named as one come first, then lines of one word, then words with digits or signs in them,
    then numbers in the files' names (`invoice-8842.zip`).
    """
    read = [text[:_SCANNED] for text in texts]
    found: dict[str, None] = {}
    for pattern, wanted in ((_NAMED, None), (_LONE, None), (_TOKEN, _MIXED)):
        for text in read:
            for token in pattern.findall(text):
                if wanted is not None and not wanted.search(token):
                    continue
                ascii_run = _TOKEN.search(token)
                forms = (
                    token,
                    token.rstrip(_EDGES).lstrip(_OPEN),
                    _END.split(token)[0],
                    ascii_run[0] if ascii_run else "",
                )
                for form in forms:
                    if 3 <= len(form) <= 64:
                        found.setdefault(form)
                if len(found) >= MOST:
                    return tuple(found)[:MOST]
    for name in names:
        for token in re.findall(r"[0-9]{4,16}", name):
            found.setdefault(token)
    return tuple(found)[:MOST]
