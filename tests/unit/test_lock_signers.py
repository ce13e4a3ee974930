"""`allowed_signers`: OpenSSH's format, and what is stricter here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approving import ALICE, BOB, Person
from bascule.clock import UnixTime
from bascule.lock import sshsig
from bascule.lock.signers import MAX_SIGNERS_BYTES, Signers, SignersError, parse_signers

KEY = ALICE.line().split()[2]


def find(text: str) -> Signers:
    return parse_signers(text)


def refused(text: str) -> str:
    with pytest.raises(SignersError) as found:
        parse_signers(text)
    return str(found.value)


def test_comments_order_and_spacing_mean_nothing() -> None:
    text = ALICE.line() + BOB.line('valid-before="20270101Z",namespaces="mcp-approval,git"')
    other = (
        "# who approves\r\n\n"
        + BOB.line('namespaces="git,mcp-approval",valid-before="20270101000000Z"').strip()
        + " bob's laptop\r\n\t"
        + ALICE.line().replace(" ", "\t ")
    )
    assert find(text).text() == find(other).text()
    assert find(find(text).text()).text() == find(text).text()
    assert find(text).principals == {ALICE.name, BOB.name}


def test_openssh_reads_our_form_of_it(tmp_path: Path) -> None:
    text = ALICE.line('valid-after="20260101Z",namespaces="git,mcp-approval"')
    (tmp_path / "allowed").write_text(parse_signers(text).text())
    signature = sshsig.sign(b"x", ALICE.private, namespace=sshsig.NAMESPACE)
    (tmp_path / "sig").write_text(sshsig.armour(signature))
    options = ["-f", tmp_path / "allowed", "-I", ALICE.name, "-s", tmp_path / "sig"]
    command = ["ssh-keygen", "-Y", "verify", "-n", sshsig.NAMESPACE, *options]
    subprocess.run(command, input=b"x", check=True, capture_output=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("cert-authority", "cert-authority"),
        ('valid-before="20270101"', '"20270101Z"'),
        ('valid-before="tomorrow"', "YYYYMMDD"),
        ('valid-before="2027010Z"', "YYYYMMDD"),
        ('valid-before="20271301Z"', "YYYYMMDD"),
        ('namespaces="!mcp-approval,*"', "negated"),
        ('namespaces="a",namespaces="b"', "twice"),
        ('no-touch-required="x"', "no-touch-required"),
        ('namespaces=""', "namespaces"),
    ],
)
def test_options_that_would_blur_who_may_sign_are_refused(options: str, says: str) -> None:
    message = refused(BOB.line() + ALICE.line(options))
    assert "line 2" in message
    assert says in message


@pytest.mark.parametrize(
    "principals", ["*@example.com", "alice,bob", '"alice"', "!alice", "a/b", "-a", "?"]
)
def test_a_line_names_one_person(principals: str) -> None:
    assert "one person" in refused(f"{principals} ssh-ed25519 {KEY}\n")


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_keys_are_refused_by_their_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "id"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    named, blob = path.with_suffix(".pub").read_text().split()[:2]
    message = refused(f"alice {named} {blob}\n")
    assert named in message
    assert "use ed25519" in message


def test_what_a_line_says_of_its_key_is_so() -> None:
    assert "but its key" in refused(f"alice sk-ssh-ed25519@openssh.com {KEY}\n")


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        f"alice {KEY}",
        "alice ssh-ed25519",
        "alice ssh-ed25519 AAAA",
        f"alice ssh-ed25519 {KEY[:-4]}",
        f"alice ssh-ed25519 {KEY}AAAA",
        "alice ssh-ed25519 ====",
    ],
)
def test_what_is_no_line_is_refused(line: str) -> None:
    assert "line 1" in refused(line)


def test_a_key_has_one_owner() -> None:
    assert "earlier line" in refused(
        ALICE.line()
        + Person("other").line().replace(Person("other").line().split()[2], KEY)
    )
    assert "earlier line" in refused(ALICE.line() * 2)


def test_a_huge_file_is_refused() -> None:
    assert "larger" in refused("#" * (MAX_SIGNERS_BYTES + 1))


@pytest.mark.parametrize(
    ("pattern", "may"),
    [
        ("mcp-approval", True),
        ("mcp-*", True),
        ("mcp?approval", True),
        ("*", True),
        ("git", False),
        ("mcp-approvals", False),
        ("MCP-APPROVAL", False),
    ],
)
def test_namespaces_are_patterns_of_openssh(pattern: str, may: bool) -> None:
    signer = find(ALICE.line(f'namespaces="{pattern}"')).find(ALICE.public)
    assert signer is not None
    assert (signer.problem(UnixTime(0)) is None) == may


@given(st.binary(max_size=200))
def test_any_text_is_signers_or_refused(content: bytes) -> None:
    for text in (content.decode("latin-1"), f"a ssh-ed25519 {content.hex()}"):
        try:
            parse_signers(text)
        except SignersError:
            continue
