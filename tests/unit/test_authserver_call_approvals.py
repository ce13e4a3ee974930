"""The pages on which a human decides about a call: who may, on what, and how often."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from bascule.audit.writer import LogUnavailableError
from bascule.authserver.call_approvals import CallApprovals
from bascule.clock import UnixTime, system_entropy
from bascule.config.model import CallApprovalRule
from bascule.decision import consent
from bascule.storage import browser_sessions, call_approvals, revocations, users
from bascule.storage.call_approvals import CallApproval, CallRequest
from bascule.storage.sealed_arguments import arguments_key, seal_arguments
from bascule.storage.store import Store, Transaction, open_store
from bascule.web.headers import SecurityHeaders
from bascule.web.site import Site
from calls_asked import add_user

NOW = UnixTime(1_800_000_000)
URL = "http://localhost:8420"
KEY = arguments_key(bytes(32))
ID = "0" * 32
POLICIES = "p" * 64
ARGUMENTS = {"path": "/srv/notes/canary.txt", "recursive": True}
RULES: Mapping[str, CallApprovalRule] = {
    "default": CallApprovalRule(),
    "files": CallApprovalRule(approvers=("user:bob", "group:security")),
    "two": CallApprovalRule(approvers=("user:bob", "group:security"), quorum=2),
    "own": CallApprovalRule(self_approval=True),
    "own-or-bob": CallApprovalRule(self_approval=True, approvers=("user:bob",)),
}
APPROVE = {"decision": "approve"}
DENY = {"decision": "deny"}


@dataclass(slots=True)
class Log:
    """What pages record, in order; may refuse."""

    events: list[tuple[str, str | None, dict[str, str]]] = field(default_factory=list)
    broken: bool = False

    async def event(self, type: str, *, user: str | None = None, **more: Any) -> None:
        if self.broken:
            raise LogUnavailableError("full")
        self.events.append((type, user, more["admin"]))

    def failed(self, *_: object, **__: object) -> bool:
        return False


@dataclass(slots=True)
class Desk:
    """The pages in one process, with everything that they stand on."""

    store: Store
    log: Log = field(default_factory=Log)
    now: UnixTime = NOW
    rules: Mapping[str, CallApprovalRule] = field(default_factory=lambda: dict(RULES))
    policies: str = POLICIES
    tokens: dict[str, str] = field(default_factory=dict)
    """Of sessions, by user."""

    def ask(self, rule: str = "files", **changes: Any) -> CallApproval:
        """Ask for one call of the agent of alice."""
        arguments = consent.written(changes.pop("arguments", ARGUMENTS))
        named: dict[str, Any] = {
            "user": "user:alice",
            "agent": "desk-app",
            "connector": "disk",
            "tool": "delete",
            "definition": "d" * 64,
            "policy_digest": POLICIES,
            "arguments_digest": consent.digest_of(arguments),
            "rules": tuple(rule.split()),
            **changes,
        }
        asked = CallRequest(**named, binding=consent.binding_of(**named))
        work = partial(
            call_approvals.ask,
            request=asked,
            approval_id=ID,
            sealed_arguments=seal_arguments(KEY, ID, arguments, system_entropy),
            now=self.now,
        )
        found = self.store.run(work)
        assert found is not None
        return found

    @property
    def approval(self) -> CallApproval:
        find = partial(call_approvals.find, approval_id=ID, now=self.now)
        found = self.store.read(find)
        assert found is not None
        return found

    def sign_in(self, name: str, audience: Any = "public") -> str:
        """Give the session token of somebody."""
        token = base64.urlsafe_b64encode(system_entropy(32)).rstrip(b"=").decode()
        begin = partial(
            browser_sessions.begin,
            token_hash=sha256(token.encode()).digest(),
            replaces=b"",
            name=name,
            audience=audience,
            method="password",
            source="127.0.0.1",
            now=self.now,
            expires_at=UnixTime(self.now + 3600),
        )
        assert self.store.run(begin)
        if audience == "public":
            self.tokens[name] = token
        return token

    def visit(
        self,
        name: str | None,
        form: Mapping[str, str] | None = None,
        path: str = f"/approve/{ID}",
        **headers: str,
    ) -> httpx2.Response:
        """Open a page as somebody, or send its form as the page does."""
        token = None if name is None else self.tokens.get(name) or self.sign_in(name)
        own = {"Cookie": f"bascule-session={token}"} if token else {}
        if form is not None:
            own |= {"Origin": URL, "Sec-Fetch-Site": "same-origin"}
        own |= {key.replace("_", "-"): value for key, value in headers.items()}
        sent = {key: value for key, value in own.items() if value}
        return asyncio.run(self._send(path, form, sent))

    async def _send(
        self, path: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> httpx2.Response:
        pages = CallApprovals(KEY, lambda: self.rules, lambda: self.policies)
        application = Starlette(routes=pages.routes)
        application.state.site = Site(
            URL, "public", self.store, lambda: self.now, system_entropy, self.log
        )
        application.add_middleware(SecurityHeaders, url=URL)
        transport = httpx2.ASGITransport(app=application)
        async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
            if form is None:
                return await client.get(path, headers=headers)
            return await client.post(path, data=dict(form), headers=headers)


@pytest.fixture(scope="module")
def peopled(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database with users, to copy."""
    path = shutil.copy(migrated_file, tmp_path_factory.mktemp("peopled") / "state.db")
    people = {"alice": (), "bob": (), "carol": ("security",), "dave": ("x",), "root": ()}

    def add(conn: Transaction) -> None:
        for name, groups in people.items():
            add_user(conn, name, *groups, is_admin=name == "root", now=NOW)

    with contextlib.closing(open_store(path)) as store:
        store.run(add)
    return path


@pytest.fixture
def desk(peopled: Path, tmp_path: Path) -> Iterator[Desk]:
    with contextlib.closing(open_store(shutil.copy(peopled, tmp_path / "state.db"))) as it:
        yield Desk(it)


def test_an_approver_sees_all_of_the_call_and_approves_it(desk: Desk) -> None:
    asked = desk.ask()
    page = unescape(desk.visit("bob").text)
    for fact in ("delete", "disk", "desk-app", "alice", "files: 0 of 1"):
        assert fact in page
    assert '"/srv/notes/canary.txt"' in page
    assert "true" in page
    assert asked.request.arguments_digest in page
    answer = desk.visit("bob", APPROVE)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/approve/{ID}")
    assert (desk.approval.state, desk.approval.approvers) == ("approved", ("user:bob",))
    assert "This call is approved" in desk.visit("bob").text
    (record,) = desk.log.events
    assert record[:2] == ("call_approval.approve", "user:bob")
    assert record[2] == {
        "approval": ID,
        "for": "user:alice",
        "tool": "delete",
        "arguments": asked.request.arguments_digest,
        "definition": "d" * 64,
        "binding": asked.request.binding,
        "rules": "files",
    }


def test_an_approver_denies_it(desk: Desk) -> None:
    desk.ask()
    assert desk.visit("carol", DENY).status_code == 303
    assert (desk.approval.state, desk.approval.sealed_arguments) == ("denied", None)
    assert desk.log.events[0][:2] == ("call_approval.deny", "user:carol")
    page = desk.visit("alice").text
    assert "This call was denied" in page
    assert "By carol" in page
    assert "canary" not in page


@pytest.mark.parametrize(
    ("rule", "who"),
    [
        ("files", {"bob", "carol"}),
        ("default", {"root"}),
        ("own", {"alice"}),
        ("own-or-bob", {"alice", "bob"}),
        ("gone", set()),
        ("files gone", {"bob", "carol"}),
        ("files own", {"alice", "bob", "carol"}),
    ],
)
@pytest.mark.parametrize("name", ["alice", "bob", "carol", "dave", "root"])
def test_only_who_may_is_asked(desk: Desk, rule: str, who: set[str], name: str) -> None:
    desk.ask(rule)
    page = desk.visit(name)
    assert ("Approve this one call" in page.text) == (name in who)
    assert (page.status_code == 404) == (name not in {*who, "alice"})
    answer = desk.visit(name, APPROVE)
    assert answer.status_code == (303 if name in who else 403 if name == "alice" else 404)
    assert (user_of(name) in desk.approval.approvers) == (name in who)
    whole = name in who and " " not in rule
    assert desk.approval.state == ("approved" if whole else "pending")


def user_of(name: str) -> str:
    return f"user:{name}"


def test_an_approver_never_approves_the_calls_of_their_own_agent(desk: Desk) -> None:
    desk.ask(user="user:bob")
    assert desk.visit("bob", APPROVE).status_code == 403
    assert desk.approval.state == "pending"
    assert desk.log.events == []
    assert desk.visit("carol", APPROVE).status_code == 303
    assert desk.approval.state == "approved"


def test_nor_does_an_administrator(desk: Desk) -> None:
    desk.ask("default", user="user:root")
    assert desk.visit("root", APPROVE).status_code == 403
    assert desk.approval.state == "pending"


@pytest.mark.parametrize("asker", [None, "user:https://idp.example|alice", "user:alic"])
def test_nobody_else_is_who_asks(desk: Desk, asker: str | None) -> None:
    """`self_approval` is for the very same user, not for one of a like name."""
    desk.ask("own", user=asker)
    assert desk.visit("alice").status_code == 404
    assert desk.visit("alice", APPROVE).status_code == 404
    assert desk.visit("alice", DENY).status_code == 404


def test_who_asks_takes_it_back(desk: Desk) -> None:
    desk.ask()
    page = desk.visit("alice").text
    assert "Somebody else must decide" in page
    assert "user:bob" in page
    assert "Take it back" in page
    assert desk.visit("alice", DENY).status_code == 303
    assert desk.approval.state == "denied"


def test_what_one_may_not_see_is_not_there(desk: Desk) -> None:
    desk.ask()
    hidden = desk.visit("dave")
    assert hidden.status_code == 404
    for name in ("1" * 32, "%00", "%ff", "x" * 5000, f"{ID}%0a"):
        nothing = desk.visit("dave", path=f"/approve/{name}")
        assert (nothing.status_code, nothing.text) == (404, hidden.text)
    assert "canary" not in hidden.text


@pytest.mark.parametrize("form", [None, APPROVE, DENY])
def test_who_is_not_signed_in_is_sent_to_the_login(
    desk: Desk, form: dict[str, str] | None
) -> None:
    desk.ask()
    for path in (f"/approve/{ID}", f"/approve/{'1' * 32}"):
        answer = desk.visit(None, form, path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=%2Fapprove%2F")
    assert desk.approval.state == "pending"


def test_an_admin_session_does_not_count_here(desk: Desk) -> None:
    desk.ask("default")
    token = desk.sign_in("root", "admin")
    for cookie in ("bascule-session", "bascule-admin-session"):
        answer = desk.visit(None, APPROVE, Cookie=f"{cookie}={token}")
        assert answer.headers["location"].startswith("/login")
    assert desk.approval.state == "pending"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8421"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": ""},
    ],
)
@pytest.mark.parametrize("form", [APPROVE, DENY])
def test_a_form_of_another_site_decides_nothing(
    desk: Desk, headers: dict[str, str], form: dict[str, str]
) -> None:
    desk.ask()
    assert desk.visit("bob", form, **headers).status_code == 403
    assert (desk.approval.state, desk.log.events) == ("pending", [])


def test_a_link_decides_nothing(desk: Desk) -> None:
    desk.ask()
    query = f"/approve/{ID}?decision=approve"
    assert desk.visit("bob", path=query).status_code == 200
    assert (desk.approval.state, desk.log.events) == ("pending", [])


@pytest.mark.parametrize(
    "form",
    [
        {"x": "y"},
        {"decision": ""},
        {"decision": "Approve"},
        {"decision": "allow"},
        {"decision": "approve deny"},
    ],
)
def test_a_form_that_is_not_the_whole_one_decides_nothing(
    desk: Desk, form: dict[str, str]
) -> None:
    desk.ask()
    assert desk.visit("bob", form).status_code == 400
    assert (desk.approval.state, desk.log.events) == ("pending", [])


def test_a_form_sent_twice_decides_once(desk: Desk) -> None:
    desk.ask()
    for form in (APPROVE, APPROVE, DENY):
        assert desk.visit("bob", form).status_code == 303
    assert desk.approval.state == "approved"
    assert [it[0] for it in desk.log.events] == ["call_approval.approve"]


def test_nobody_brings_a_denied_call_back(desk: Desk) -> None:
    desk.ask()
    desk.visit("carol", DENY)
    assert desk.visit("bob", APPROVE).status_code == 303
    assert desk.approval.state == "denied"


def test_two_must_agree_where_a_rule_says_so(desk: Desk) -> None:
    desk.ask("two")
    for _ in range(2):
        desk.visit("bob", APPROVE)
    assert desk.approval.state == "pending"
    page = desk.visit("bob").text
    assert "You have approved it" in page
    assert "two: 1 of 2 (bob)" in page
    assert "<form" not in page
    desk.visit("carol", APPROVE)
    assert desk.approval.state == "approved"


def test_each_rule_must_be_content(desk: Desk) -> None:
    """One human who stands in one rule does not speak for the other."""
    desk.ask("own files")
    desk.visit("alice", APPROVE)
    assert desk.approval.state == "pending"
    desk.visit("bob", APPROVE)
    assert desk.approval.state == "approved"


def test_what_nobody_decides_in_time_is_denied(desk: Desk) -> None:
    desk.ask()
    desk.now = UnixTime(NOW + 300)
    page = desk.visit("bob").text
    assert "It is too late" in page
    assert "canary" not in page
    assert "<form" not in page
    assert desk.visit("bob", APPROVE).status_code == 303
    assert (desk.approval.state, desk.log.events) == ("expired", [])


def test_an_approver_who_lost_the_right_decides_no_more(desk: Desk) -> None:
    desk.ask()
    desk.rules = {"files": CallApprovalRule(approvers=("group:security",))}
    assert desk.visit("bob", APPROVE).status_code == 404
    desk.rules = {}
    assert desk.visit("carol", APPROVE).status_code == 404
    assert desk.approval.state == "pending"


def test_an_approval_is_given_under_the_rules_in_force_alone(desk: Desk) -> None:
    desk.ask()
    desk.policies = "q" * 64
    page = desk.visit("bob").text
    assert "The rules have changed since" in page
    assert "Approve this one call" not in page
    assert desk.visit("bob", APPROVE).status_code == 409
    assert (desk.approval.state, desk.log.events) == ("pending", [])
    assert desk.visit("bob", DENY).status_code == 303


def test_what_is_not_in_the_log_does_not_happen(desk: Desk) -> None:
    desk.ask()
    desk.log.broken = True
    for form in (APPROVE, DENY):
        assert desk.visit("bob", form).status_code == 503
    assert desk.approval.state == "pending"


def test_who_was_disabled_decides_nothing(desk: Desk) -> None:
    desk.ask()
    token = desk.sign_in("bob")
    desk.store.run(partial(users.disable, name="bob", now=NOW))
    answer = desk.visit(None, APPROVE, Cookie=f"bascule-session={token}")
    assert answer.headers["location"].startswith("/login")
    assert desk.approval.state == "pending"


def test_what_a_revoked_user_has_asked_is_not_decided(desk: Desk) -> None:
    desk.ask()
    revoke = partial(revocations.revoke, kind="user", key="user:alice", reason="x", now=NOW)
    desk.store.run(revoke)
    assert "It is too late" in desk.visit("bob").text
    desk.visit("bob", APPROVE)
    assert (desk.approval.state, desk.log.events) == ("expired", [])


@pytest.mark.parametrize(
    "change",
    [
        "tool = 'read'",
        "connector = 'mail'",
        "client_id = 'evil-app'",
        "user_name = 'user:dave'",
        "definition = ''",
        "arguments_digest = 'a'",
        "binding = 'b'",
        "policy_digest = 'q'",
        'rules = \'["files", "own"]\'',
        "sealed_arguments = zeroblob(64)",
        "sealed_arguments = NULL",
    ],
)
def test_a_row_that_somebody_has_changed_is_not_decided(desk: Desk, change: str) -> None:
    """What is shown is what is bound, or nothing is."""
    desk.ask()
    desk.policies = "q" if change.startswith("policy") else desk.policies
    statement = text(f"UPDATE call_approvals SET {change}")  # noqa: S608 - ours
    desk.store.run(lambda conn: conn.execute(statement))
    page = desk.visit("bob")
    assert page.status_code == 409
    assert "canary" not in page.text
    assert desk.visit("bob", APPROVE).status_code == 409
    assert (desk.approval.state, desk.log.events) == ("pending", [])


HOSTILE = {
    "html": "</pre><form action='//evil.example'><button>Allow</button></form>",
    "title": "<script>alert(1)</script>",
    "template": "{{ page.key }}{% raw %}",
    "turned": "\u202eexe.gpj",
    "hidden": "a\u200b\u200bb",
    "</dt><dt>decision": "approve",
    "lines": "ok\n" * 50 + "rm -rf /",
}


def test_no_argument_changes_the_page(desk: Desk) -> None:
    desk.ask(arguments=HOSTILE)
    page = desk.visit("bob").text
    assert page.count("<form") == 1
    assert page.count("<button") == 2
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\u200b" not in page
    assert "3 characters cannot be seen" in page
    assert "rm -rf /" in page
    assert page.index("rm -rf /") < page.index("<form"), "one reads before one decides"


def test_all_of_the_largest_arguments_are_shown(desk: Desk) -> None:
    text = "x" * (consent.MAX_BYTES - 100) + "END"
    desk.ask(arguments={"text": text})
    assert text in desk.visit("bob").text


def test_a_list_names_what_waits_for_somebody(desk: Desk) -> None:
    desk.ask()
    for name in ("bob", "carol", "alice"):
        page = desk.visit(name, path="/approve").text
        assert f'href="/approve/{ID}"' in page
        assert ("your agent asks" in page) == (name == "alice")
        assert "canary" not in page
    assert "None waits for you" in desk.visit("dave", path="/approve").text
    assert desk.visit(None, path="/approve").status_code == 303
    desk.visit("bob", DENY)
    assert "None waits for you" in desk.visit("bob", path="/approve").text


def test_the_page_is_of_no_use_in_a_frame_or_a_cache(desk: Desk) -> None:
    desk.ask()
    headers = desk.visit("bob").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_two_approvers_at_the_same_moment_are_two(desk: Desk) -> None:
    desk.ask("two")
    tokens = [desk.sign_in(name) for name in ("bob", "carol")]

    async def both() -> None:
        await asyncio.gather(
            *(
                desk._send(f"/approve/{ID}", APPROVE, {"Cookie": f"bascule-session={it}"})
                for it in tokens
            )
        )

    asyncio.run(both())
    assert desk.approval.state == "approved"
    assert sorted(desk.approval.approvers) == ["user:bob", "user:carol"]


def test_approving_and_denying_at_the_same_moment_is_one_of_both(desk: Desk) -> None:
    desk.ask()
    tokens = {desk.sign_in("bob"): APPROVE, desk.sign_in("carol"): DENY}

    async def both() -> None:
        await asyncio.gather(
            *(
                desk._send(f"/approve/{ID}", form, {"Cookie": f"bascule-session={token}"})
                for token, form in tokens.items()
            )
        )

    asyncio.run(both())
    found = desk.approval
    assert len(found.votes) == 1
    assert found.state == ("approved" if found.approvers else "denied")


def test_one_rule_does_not_lend_its_approvers_to_another(desk: Desk) -> None:
    desk.rules = {**RULES, "strict": CallApprovalRule(approvers=("group:x",))}
    desk.ask("files strict")
    for name in ("bob", "carol"):
        desk.visit(name, APPROVE)
    assert desk.approval.state == "pending"
    desk.visit("dave", APPROVE)
    assert desk.approval.state == "approved"
