"""Pages beside the MCP endpoints, as they come through the whole server."""

from __future__ import annotations

from bascule.web.static import static_url
from system.server import Installation


def test_every_answer_beside_mcp_has_the_strict_headers(bascule: Installation) -> None:
    for path in ("/healthz", "/oauth/jwks", "/nothing", static_url("bascule.css")):
        answer = bascule.send(b"", {}, path=path, verb="GET")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_of_a_page_comes_whole_and_for_good(bascule: Installation) -> None:
    answer = bascule.send(b"", {}, path=static_url("bascule.css"), verb="GET")
    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    head = bascule.send(b"", {}, path=static_url("bascule.css"), verb="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(answer.body))


def test_people_get_a_page_and_programs_a_sentence_where_nothing_is(
    bascule: Installation,
) -> None:
    for path, status in (("/nothing", 404), ("/logout", 405)):
        page = bascule.send(b"", {"Accept": "text/html,*/*;q=0.8"}, path=path, verb="GET")
        assert page.status == status
        assert b"There is no such page" in page.body
        plain = bascule.send(b"", {"Accept": "*/*"}, path=path, verb="GET")
        assert plain.status == status
        assert plain.headers["content-type"].startswith("text/plain")
        assert page.headers.get("allow") == plain.headers.get("allow")
    assert plain.headers["allow"] == "POST"


def test_the_address_alone_leads_to_a_page(bascule: Installation) -> None:
    answer = bascule.send(b"", {}, path="/", verb="GET")
    assert (answer.status, answer.headers["location"]) == (303, "/account")
