"""Addresses, and the parameters of MAIL and RCPT: tables of the grammar, and anything else thrown at them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.core import address, parameters
from services.ingress.core.reply import Refusal

GOOD = [
    "a@b",
    "first.last@example.com",
    "a+b=c/d@sub.example.com",
    '"a b"@example.com',
    '"a\\"b"@example.com',
    '"@"@example.com',
    "a@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]",
    "用戶@例子.example",
    f"{'l' * 64}@example.com",
    "a@xn--fsqu00a.example",
    "a@under_score.example",
]
BAD = [
    "",
    "a",
    "@b",
    "a@",
    "a@b@c",
    ".a@b",
    "a.@b",
    "a..b@c",
    "a b@c",
    "a@b c",
    "a@b..c",
    "a@.b",
    "a@b.",
    "a@-b",
    "a@b-",
    '"a@b',
    '"a"b@c',
    "a@[192.0.2.256]",
    "a@[2001:db8::1]",
    "a@[IPv6:192.0.2.1]",
    "a@[]",
    f"{'l' * 65}@example.com",
    f"a@{'d' * 64}.example",
    f"a@{'.'.join(['d' * 60] * 5)}",
    "a\r\nRCPT TO:<x@y>@b",
    "a\x00@b",
    "a@b\x7f",
    "a\u2028@b",
    "a\u0085@b",
    "a@b\u200b",
    "a\ud800@b",
    "a(c)@b",
    "<a@b>",
    "a@b,c@d",
]


@pytest.mark.parametrize("text", GOOD)
def test_address_by_the_grammar_is_read_and_kept_as_written(text: str) -> None:
    """RFC 5321 §4.1.2, RFC 6531 §3.3."""
    assert str(address.parse(text)) == text


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused(text: str) -> None:
    """Nothing that another parser could read differently passes."""
    with pytest.raises(address.Malformed):
        address.parse(text)


@given(st.text())
def test_no_text_breaks_the_address_parser(text: str) -> None:
    """It answers or raises `Malformed`; what it answers is printable and reads back to the same."""
    try:
        parsed = address.parse(text)
    except address.Malformed:
        return
    assert str(parsed) == text
    assert text.isprintable()
    assert address.parse(str(parsed)) == parsed
    assert str(parsed).rpartition("@")[2] == parsed.domain


@given(st.text(alphabet='<>@"\\ .aä=\r\n\0'))
def test_no_path_breaks_the_splitter(text: str) -> None:
    """Brackets are balanced outside quotes, or it is `Malformed`."""
    try:
        path, rest = address.split_path(text)
    except address.Malformed:
        return
    assert text.startswith(f"<{path}>")
    assert text.rstrip(" ").endswith(rest)


def mail(argument: str, *, esmtp: bool = True) -> parameters.MailCommand:
    """MAIL with a limit of 1,000 bytes."""
    return parameters.parse_mail(argument, esmtp=esmtp, max_bytes=1000)


def test_mail_parameters_are_read() -> None:
    """All of them, in any case of their names."""
    command = mail("from: <a@b> size=1000 Body=8BITMIME smtputf8 RET=full ENVID=x+2Bz AUTH=e+3Dmc2@example.com")
    assert command == parameters.MailCommand("a@b", 1000, "8BITMIME", True, "FULL", "x+2Bz")
    assert mail("FROM:<>") == parameters.MailCommand("")


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("", 501),
        ("TO:<a@b>", 501),
        ("FROM:a@b", 501),
        ("FROM:<a@b", 501),
        ("FROM:<a@b>SIZE=1", 501),
        ("FROM:<a b@c>", 553),
        ("FROM:<@r:a@b>", 553),
        ("FROM:<ä@b>", 553),
        ("FROM:<a@b> SIZE", 501),
        ("FROM:<a@b> SIZE=", 501),
        ("FROM:<a@b> SIZE=x", 501),
        ("FROM:<a@b> SIZE=-1", 501),
        ("FROM:<a@b> SIZE=²", 501),
        ("FROM:<a@b> SIZE=1001", 552),
        ("FROM:<a@b> SIZE=1 SIZE=2", 501),
        ("FROM:<a@b> BODY=BINARYMIME", 555),
        ("FROM:<a@b> SMTPUTF8=1", 501),
        ("FROM:<a@b> RET=NONE", 501),
        ("FROM:<a@b> ENVID=a+zz", 501),
        ("FROM:<a@b> ENVID=a+0D+0Ab", 501),
        ("FROM:<a@b> ENVID=" + "x" * 101, 501),
        ("FROM:<a@b> AUTH=+0", 501),
        ("FROM:<a@b> XFOO=1", 555),
        ("FROM:<a@b> =1", 501),
    ],
)
def test_bad_mail_command_has_its_code(argument: str, code: int) -> None:
    """Each mistake is told as RFC 5321 and the extension say."""
    with pytest.raises(Refusal) as caught:
        mail(argument)
    assert caught.value.reply.code == code


def test_parameters_need_ehlo() -> None:
    """After HELO there are none."""
    with pytest.raises(Refusal):
        mail("FROM:<a@b> SIZE=1", esmtp=False)


def rcpt(argument: str, *, smtputf8: bool = False) -> parameters.RcptCommand:
    """RCPT after EHLO."""
    return parameters.parse_rcpt(argument, esmtp=True, smtputf8=smtputf8)


def test_rcpt_parameters_are_read() -> None:
    """NOTIFY in capitals, ORCPT as written; a bare postmaster has no domain."""
    command = rcpt("TO:<a@b> NOTIFY=success,DELAY ORCPT=rfc822;A+2Bx@b")
    assert (command.notify, command.orcpt) == (("SUCCESS", "DELAY"), "rfc822;A+2Bx@b")
    assert rcpt("TO:<Postmaster>").address == address.Address("postmaster", "")
    assert rcpt("TO:<a@b> ORCPT=utf-8;ä@b", smtputf8=True).orcpt == "utf-8;ä@b"


@pytest.mark.parametrize(
    "argument",
    [
        "TO:<>",
        "TO:<a@b> NOTIFY=NEVER,DELAY",
        "TO:<a@b> NOTIFY=DELAY,DELAY",
        "TO:<a@b> NOTIFY=",
        "TO:<a@b> ORCPT=a@b",
        "TO:<a@b> ORCPT=rfc822;",
        "TO:<a@b> ORCPT=rfc822;a+0A",
        "TO:<a@b> ORCPT=utf-8;ä@b",
        "TO:<a@b> ORCPT=rfc822;" + "x" * 500,
        "TO:<a@b> SIZE=1",
    ],
)
def test_bad_rcpt_command_is_refused(argument: str) -> None:
    """Each with a permanent reply."""
    with pytest.raises(Refusal) as caught:
        rcpt(argument)
    assert caught.value.reply.permanent


@given(st.text() | st.text(alphabet='<>@ab .=+;,SIZEBODYRETNOTIFYORCPTutf-8"\\\t').map(lambda t: "FROM:<a@b> " + t))
def test_no_argument_breaks_the_command_parsers(argument: str) -> None:
    """They answer or raise `Refusal`; a reply is one line."""
    for read in (mail, rcpt):
        try:
            read(argument)
        except Refusal as refusal:
            line = refusal.reply.line
            assert line.isprintable()
            assert line.isascii()


@given(st.text())
def test_helo_that_is_kept_can_stand_in_a_header(text: str) -> None:
    """No blanks, controls or comment characters."""
    if address.valid_helo(text):
        assert text.isprintable()
        assert not set(text) & set(" \r\n()<>")
