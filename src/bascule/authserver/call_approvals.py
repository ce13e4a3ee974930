"""`/approve`: a human decides whether one exact call is made.

Only the browser session of somebody who may decide does it, on the page that shows all that
the decision is about; what it is about is bound by a digest, and the digest is made anew of
what is shown. To who may not look, what exists is what does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bascule.authserver.call_approval_pages import (
    CallApprovalsPage,
    approval_page,
    approval_row,
    decision_record,
)
from bascule.config.model import CallApprovalRule
from bascule.decision.who_approves import Human, deciding_rules
from bascule.storage import call_approvals, users
from bascule.storage.browser_sessions import BrowserSession
from bascule.storage.call_approvals import CallApproval
from bascule.storage.call_votes import Decision
from bascule.storage.sealed_arguments import SealedArgumentsError, bound_arguments
from bascule.web.forms import form_of
from bascule.web.page import page
from bascule.web.problem import PageError
from bascule.web.render import redirect, render
from bascule.web.sessions import current_session, to_login
from bascule.web.site import site_of
from bascule.web.source import peer_of

PATH = "/approve"


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody is to one question."""

    approval: CallApproval
    rules: frozenset[str]
    """By which of those that ask they may decide."""
    asked: bool
    """It is their own agent that asks."""


class CallApprovals:
    """The pages `/approve` and `/approve/{id}`."""

    def __init__(
        self,
        key: bytes,
        rules: Callable[[], Mapping[str, CallApprovalRule]],
        policy_digest: Callable[[], str],
    ) -> None:
        """`key`: of sealed arguments; `rules` and `policy_digest`: those in force."""
        self._key = key
        self._rules = rules
        self._policy_digest = policy_digest
        self.routes: list[Route] = [
            page(PATH, self.overview),
            page(f"{PATH}/{{id}}", self.show),
            page(f"{PATH}/{{id}}", self.decide, methods=("POST",)),
        ]

    async def overview(self, request: Request) -> Response:
        """`GET /approve`: what waits for who is signed in."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        site = site_of(request)
        waiting = partial(call_approvals.pending, now=site.clock())
        human = await self._human(request, session)
        standings = [self._standing(human, it) for it in await site.store.look(waiting)]
        rows = tuple(
            approval_row(it.approval, by_me=it.asked) for it in standings if it is not None
        )
        return render("call_approvals.html", CallApprovalsPage(session.name, rows))

    async def show(self, request: Request) -> Response:
        """`GET /approve/{id}`."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        standing = await self._find(request, session)
        # Not on the event loop: writing many arguments out takes a while.
        return await asyncio.to_thread(self._page, session, standing)

    async def decide(self, request: Request) -> Response:
        """`POST /approve/{id}`: field `decision`, `approve` or `deny`."""
        session = await current_session(request)
        if session is None:
            return to_login(request)
        form = await form_of(request)
        standing = await self._find(request, session)
        match form.get("decision"):
            case "approve" | "deny" as decision:
                if standing.approval.state == "pending":
                    await self._decide(request, session, standing, decision)
            case _:
                raise PageError(400, "The form is incomplete", "Go back and choose again.")
        return redirect(f"{PATH}/{standing.approval.id}")

    async def _human(self, request: Request, session: BrowserSession) -> Human:
        """Look up who is signed in, with the groups of this moment."""
        found = await site_of(request).store.look(partial(users.get, name=session.name))
        if found is None or found.disabled:
            return Human(session.user, frozenset(), is_admin=False)
        groups = frozenset(f"group:{it}" for it in found.groups)
        return Human(session.user, groups, found.is_admin)

    def _standing(self, human: Human, approval: CallApproval) -> Standing | None:
        """Say what somebody is to a question; None to whom it is nothing."""
        known = self._rules()
        asking = {it: known[it] for it in approval.request.rules if it in known}
        rules = deciding_rules(human, approval.request.user, asking)
        asked = approval.request.user == human.user
        return Standing(approval, rules, asked) if rules or asked else None

    async def _find(self, request: Request, session: BrowserSession) -> Standing:
        """Give a question that somebody may look at. Raises `PageError`."""
        site = site_of(request)
        name = request.path_params["id"]
        find = partial(call_approvals.find, approval_id=name, now=site.clock())
        known = call_approvals.is_id(name)
        approval = await site.store.look(find) if known else None
        human = await self._human(request, session)
        standing = None if approval is None else self._standing(human, approval)
        if standing is None:
            raise PageError(
                404,
                "There is nothing to decide",
                "There is no such call, or it is not yours to decide about. Sign in as "
                "somebody who may, or look at the link again.",
            )
        return standing

    def _page(self, session: BrowserSession, standing: Standing) -> Response:
        """Make the page. Raises `PageError`."""
        approval = standing.approval
        arguments = self._arguments(approval) if approval.state == "pending" else {}
        model = approval_page(
            approval,
            arguments,
            user=session.user,
            may_decide=bool(standing.rules),
            asked=standing.asked,
            rules=self._rules(),
            outdated=self._is_outdated(approval),
        )
        return render("call_approval.html", model)

    def _arguments(self, approval: CallApproval) -> dict[str, Any]:
        """Give the arguments that the approval is about. Raises `PageError`."""
        try:
            return bound_arguments(self._key, approval)
        except SealedArgumentsError as exc:
            raise PageError(409, "This cannot be decided", f"To be safe: {exc}.") from exc

    def _is_outdated(self, approval: CallApproval) -> bool:
        return approval.request.policy_digest != self._policy_digest()

    def _require_consent(self, standing: Standing) -> None:
        """Refuse an approval that cannot be one. Raises `PageError`."""
        approval = standing.approval
        if not standing.rules:
            raise PageError(
                403,
                "Somebody else must decide",
                "Who asks for this call must not be who approves it.",
            )
        if self._is_outdated(approval):
            raise PageError(
                409,
                "The rules have changed since",
                "The agent has to ask again, under the rules that are in force now.",
            )
        self._arguments(approval)

    async def _decide(
        self,
        request: Request,
        session: BrowserSession,
        standing: Standing,
        decision: Decision,
    ) -> None:
        """Record a decision, then let it count; a second one of the same human does not.

        Raises `PageError`.
        """
        if decision == "approve":
            self._require_consent(standing)
        site = site_of(request)
        approval, rules = standing.approval, self._rules()
        if any(it.approver == session.user for it in approval.votes):
            return
        await site.records.event(
            f"call_approval.{decision}",
            peer=peer_of(request),
            user=session.user,
            agent=approval.request.agent,
            connector=approval.request.connector,
            admin=decision_record(approval, standing.rules),
        )
        quorums = {it: rules[it].quorum for it in approval.request.rules if it in rules}
        await site.store.transact(
            partial(
                call_approvals.vote,
                approval_id=approval.id,
                approver=session.user,
                decision=decision,
                rules=standing.rules,
                quorums=quorums,
                now=site.clock(),
            )
        )
