"""Calls that wait, where a surface was approved: what is destructive, and what changes."""

from __future__ import annotations

from pathlib import Path

from patience import until
from system import gated
from system.server import Answer, Installation
from system.turncoat import turncoat

CAPABILITIES = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}}
RULE = "\n[call_approvals.destructive]\ndestructive = true\n"


def call(bascule: Installation, token: str, name: str, state: str | None = None) -> Answer:
    more = {} if state is None else {"requestState": state}
    params = {"name": name, "arguments": {"text": "x"}, "_meta": CAPABILITIES, **more}
    return bascule.call(token, "tools/call", params)


def question(answer: Answer) -> tuple[str, str]:
    """Give number and state of a call that waits."""
    result = answer.json["result"]
    url = result["inputRequests"]["bascule/approval"]["params"]["url"]
    return url.rpartition("/")[2], result["requestState"]


def test_the_approved_surface_says_what_is_destructive_and_a_change_voids_an_approval(
    tmp_path: Path,
) -> None:
    with turncoat() as upstream:
        upstream.change("other", annotations={"destructiveHint": False})
        bascule = gated.install(tmp_path / "it", upstream)
        with bascule.config.open("a") as file:
            file.write(RULE)
        gated.approve(bascule)
        bascule.start()
        try:
            token = bascule.token("alice")
            listed = bascule.call(token, "tools/list").json["result"]["tools"]
            assert [it["name"] for it in listed] == ["echo", "other"]
            assert "content" in call(bascule, token, "other").json["result"]
            number, state = question(call(bascule, token, "echo"))
            bascule.ask("approvals", "approve", number)

            # Approved anew with another definition: the consent was not to that one.
            upstream.change(description="Says it to everybody.")
            gated.lock(bascule, "desk", upstream.document())
            until(lambda: bascule.call(token, "tools/list").status == 503)
            gated.approve(bascule)
            until(lambda: bascule.call(token, "tools/list").status == 200)
            upstream.asked.clear()
            refused = call(bascule, token, "echo", state)
            assert refused.error["code"] == 428
            assert "another call" in refused.error["message"]
            anew, state = question(call(bascule, token, "echo"))
            assert anew != number
            assert "tools/call" not in upstream.methods(by_probe=False)
            bascule.ask("approvals", "approve", anew)
            assert "content" in call(bascule, token, "echo", state).json["result"]
        finally:
            bascule.kill()
