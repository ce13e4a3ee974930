"""Agents without secrets, and users whom a provider asserts, at a real `bascule up`.

The platform and the provider are a small server of the test's own that publishes keys:
what they sign must be wrong in every way too, which no real one does.
"""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest
import requests

from bascule.clock import system_clock
from foreign import changed, jwks, signer
from patience import PATIENCE
from system.recorder import Recorder
from system.server import Installation, configure

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TABLES = """
[clients]
dynamic_registration = true

[workloads.shop]
issuer = "{url}/platform"
agent = "shop-agent"
subject = "system:serviceaccount:shop:agent"
once = false

[workloads.ci]
issuer = "{url}/platform"
agent = "ci-agent"
claims = {{ repository = "corp/app" }}

[connectors.safe]
url = "http://127.0.0.1:9/mcp"
mode = "observe"
require = "dpop"

[providers.corp]
issuer = "{url}"
client_id = "bascule"
client_secret = "file:{secret}"
id_jag = true
admit.groups = ["staff"]

[providers.login-only]
issuer = "{url}/other"
client_id = "bascule"
client_secret = "file:{secret}"
"""
SIGNER = signer("k", "ES256")
_number = count()


class Publisher(BaseHTTPRequestHandler):
    """Publishes metadata and keys of every issuer below its address."""

    def do_GET(self) -> None:
        host = f"http://{self.headers['Host']}"
        issuer = host + self.path.removesuffix("/.well-known/openid-configuration")
        body = json.dumps(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{host}/keys",
            }
        ).encode()
        if self.path == "/keys":
            body = jwks(SIGNER)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    bascule: Installation
    url: str
    secret: str

    @property
    def resource(self) -> str:
        return f"{self.bascule.url}/c/desk/mcp"

    def service_account(self, **changes: Any) -> str:
        """Sign as Kubernetes does."""
        now = system_clock()
        claims = {
            "iss": f"{self.url}/platform",
            "sub": "system:serviceaccount:shop:agent",
            "aud": [self.bascule.url],
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }
        return SIGNER.sign(changed(claims, **changes), typ=None).decode()

    def job(self, **changes: Any) -> str:
        """Sign as GitHub Actions does."""
        job = {"sub": "repo:corp/app:ref:main", "repository": "corp/app"}
        return self.service_account(**{"jti": f"j{next(_number)}", **job, **changes})

    def id_jag(self, **changes: Any) -> str:
        now = system_clock()
        claims = {
            "iss": self.url,
            "sub": "00u1",
            "aud": self.bascule.url,
            "client_id": "app",
            "jti": f"j{next(_number)}",
            "iat": now,
            "exp": now + 300,
            "resource": self.resource,
            "scope": "mcp:desk",
            "groups": ["staff", "support"],
        }
        header = {
            "typ": changes.pop("typ", "oauth-id-jag+jwt"),
            "kid": changes.pop("kid", SIGNER.kid),
        }
        return SIGNER.sign(changed(claims, **changes), **header).decode()

    def post(self, auth: tuple[str, str] | None = None, **form: str) -> requests.Response:
        form = {"resource": self.resource, **form}
        url = f"{self.bascule.url}/oauth/token"
        return requests.post(url, form, auth=auth, timeout=PATIENCE)

    def federated(self, assertion: str, **form: str) -> requests.Response:
        return self.post(grant_type=GRANT, assertion=assertion, **form)

    def asserted(self, assertion: str, **form: str) -> requests.Response:
        return self.post(
            ("app", self.secret), grant_type=GRANT, assertion=assertion, **form
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Place]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    made = configure(tmp_path_factory.mktemp("assertions"), recorder)
    secret = made.folder / "corp-secret"
    secret.write_text("of nobody, since nobody logs in")
    secret.chmod(0o600)
    config = made.folder / "bascule.toml"
    config.write_text(config.read_text() + TABLES.format(url=url, secret=secret))
    made.ask("agent", "add", "shop-agent", "--workload")
    made.ask("agent", "add", "ci-agent", "--workload")
    made.ask("agent", "add", "open", "--redirect-uri", "http://127.0.0.1/back")
    client_secret = str(made.ask("agent", "add", "app", "--secret")["client_secret"])
    made.start()
    try:
        yield Place(made, url, client_secret)
    finally:
        made.kill()
        server.shutdown()
        server.server_close()


def refused(answer: requests.Response) -> str:
    assert answer.status_code in {400, 401}, answer.text
    assert "access_token" not in answer.json()
    return str(answer.json()["error"])


# Workloads


def test_both_ways_give_the_agent_its_token(place: Place) -> None:
    """The same service account token counts as assertion and as grant, and again."""
    token = place.service_account()
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}
    answers = [
        place.post(grant_type="client_credentials", **form),
        place.federated(token),
        place.federated(token, client_id="shop-agent"),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert "refresh_token" not in answer.json()
        assert place.bascule.call(answer.json()["access_token"], "tools/list").status == 200
    issued = place.bascule.wait_for_records(
        "--type", "token.issue", "--agent", "shop-agent"
    )
    assert issued[0]["user"] is None


def test_a_job_token_counts_once(place: Place) -> None:
    token = place.job()
    assert place.federated(token).status_code == 200
    assert refused(place.federated(token)) == "invalid_grant"
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}
    answer = place.post(grant_type="client_credentials", **form)
    assert refused(answer) == "invalid_client"


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "system:serviceaccount:other:agent"},
        {"aud": ["https://other.example"]},
        {"iss": "https://other.example"},
        {"exp": 1},
    ],
    ids=str,
)
def test_other_workloads_get_nothing(place: Place, changes: dict[str, Any]) -> None:
    assert refused(place.federated(place.service_account(**changes))) == "invalid_grant"


def test_a_workload_is_only_its_own_agent(place: Place) -> None:
    token = place.service_account()
    for other in ("ci-agent", "app", "open"):
        assert refused(place.federated(token, client_id=other)) == "invalid_grant"
    for other in ("client_secret", "client_assertion"):
        assert refused(place.federated(token, **{other: "x"})) == "invalid_request"


def test_who_has_no_platform_token_is_not_the_agent(place: Place) -> None:
    answer = place.post(grant_type="client_credentials", client_id="shop-agent")
    assert refused(answer) == "invalid_client"


def test_a_disabled_agent_gets_nothing(place: Place) -> None:
    place.bascule.cli("agent", "disable", "ci-agent")
    try:
        assert refused(place.federated(place.job())) == "invalid_client"
    finally:
        place.bascule.cli("agent", "enable", "ci-agent")


# ID-JAG


def test_a_provider_lets_its_user_in_through_a_client(place: Place) -> None:
    answer = place.asserted(place.id_jag())
    assert answer.status_code == 200, answer.text
    assert "refresh_token" not in answer.json()
    assert answer.json()["scope"] == "mcp:desk"
    assert place.bascule.call(answer.json()["access_token"], "tools/list").status == 200
    user = f"user:{place.url}|00u1"
    (issued, *_) = place.bascule.wait_for_records("--type", "token.issue", "--user", user)
    assert (issued["user"], issued["agent"]) == (user, "app")
    assert place.bascule.wait_for_records("--type", "user.groups", "--user", user)
    said = requests.get(
        f"{place.bascule.url}/.well-known/oauth-authorization-server", timeout=PATIENCE
    ).json()
    assert GRANT in said["grant_types_supported"]
    assert said["authorization_grant_profiles_supported"] == [
        "urn:ietf:params:oauth:grant-profile:id-jag"
    ]


def test_an_assertion_counts_once(place: Place) -> None:
    assertion = place.id_jag()
    assert place.asserted(assertion).status_code == 200
    assert refused(place.asserted(assertion)) == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "shop-agent"}, "invalid_grant"),
        ({"aud": "https://other.example"}, "invalid_grant"),
        ({"typ": "JWT"}, "invalid_grant"),
        ({"exp": 1}, "invalid_grant"),
        ({"sub": "new", "groups": ["strangers"]}, "invalid_grant"),
        ({"sub": "new", "groups": None}, "invalid_grant"),
        ({"sub": "new", "groups": None, "_claim_names": {"groups": "1"}}, "invalid_grant"),
        ({"kid": "of nobody"}, "invalid_grant"),
        ({"cnf": {"jkt": "A" * 43}}, "invalid_grant"),
        ({"scope": "other"}, "invalid_scope"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
    ],
    ids=str,
)
def test_one_broken_rule_is_enough(
    place: Place, changes: dict[str, Any], error: str
) -> None:
    assert refused(place.asserted(place.id_jag(**changes))) == error


@pytest.mark.parametrize(
    ("claims", "form", "answered"),
    [
        # Of what both want, and never more than either.
        ({"scope": None}, {}, "mcp:desk"),
        ({"scope": None}, {"scope": "desk.echo"}, "desk.echo"),
        ({"scope": "desk.echo"}, {}, "desk.echo"),
        ({"scope": "desk.echo"}, {"scope": "desk.echo mcp:desk"}, "desk.echo"),
        ({"scope": "desk.echo mcp:desk"}, {"scope": "desk.echo"}, "desk.echo"),
        ({"scope": "desk.echo other"}, {}, "desk.echo"),
        ({"scope": "desk.echo"}, {"scope": "mcp:desk"}, "invalid_scope"),
        ({"scope": "desk.echo"}, {"scope": "mcp:annex"}, "invalid_scope"),
        ({"scope": "mcp:annex"}, {}, "invalid_scope"),
        ({"scope": "*"}, {}, "invalid_scope"),
        ({"scope": ""}, {}, "invalid_scope"),
        # For a connector that it names.
        ({"resource": "{url}/c/annex/mcp"}, {}, "invalid_target"),
        ({"resource": "{url}"}, {"resource": "{url}"}, "invalid_target"),
        ({"resource": "{url}/c/desk/mcp/"}, {}, "invalid_target"),
        ({"resource": ["{url}/c/annex/mcp", "{url}/c/desk/mcp"]}, {}, "mcp:desk"),
        ({"resource": ["https://other.example", "{url}/c/desk/mcp"]}, {}, "mcp:desk"),
        ({}, {"resource": "{url}/c/annex/mcp"}, "invalid_target"),
        ({}, {"resource": "{url}/c/none/mcp"}, "invalid_target"),
    ],
    ids=str,
)
def test_what_an_assertion_gives_at_most(
    place: Place, claims: dict[str, Any], form: dict[str, str], answered: str
) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(it) for it in value]
        return value.format(url=place.bascule.url) if isinstance(value, str) else value

    assertion = place.id_jag(**{name: filled(it) for name, it in claims.items()})
    sent = {name: filled(it) for name, it in form.items()}
    said = place.asserted(assertion, **sent).json()
    assert (said.get("scope") or said["error"]) == answered


def test_where_a_proof_is_demanded_an_assertion_alone_gives_nothing(place: Place) -> None:
    safe = f"{place.bascule.url}/c/safe/mcp"
    assertion = place.id_jag(resource=safe, scope="mcp:safe")
    assert "access_token" not in place.asserted(assertion, resource=safe).json()


def test_of_whom_an_assertion_names_no_groups_those_of_lately_stay(place: Place) -> None:
    first = place.asserted(place.id_jag(sub="00u20", groups=["staff"]))
    assert first.status_code == 200
    again = place.asserted(place.id_jag(sub="00u20", groups=None))
    assert again.status_code == 200, again.text


def test_whose_word_it_is_decides_and_no_address(place: Place) -> None:
    """The same address at another subject is somebody else; and not who is here already."""
    for sub in ("00u5", "00u6", "alice"):
        answer = place.asserted(place.id_jag(sub=sub, email="alice@corp.example"))
        token = answer.json()["access_token"]
        claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["sub"] == f"{place.url}|{sub}"


def test_a_provider_that_only_signs_in_is_not_believed(place: Place) -> None:
    other = place.id_jag(iss=f"{place.url}/other")
    assert refused(place.asserted(other)) == "invalid_grant"
    own = place.id_jag(iss=place.bascule.url)
    assert refused(place.asserted(own)) == "invalid_grant"


def test_a_public_client_has_no_use_for_one(place: Place) -> None:
    form = {"grant_type": GRANT, "client_id": "open"}
    answer = place.post(assertion=place.id_jag(client_id="open"), **form)
    assert refused(answer) == "unauthorized_client"
    wrong = place.post(("app", "wrong"), grant_type=GRANT, assertion=place.id_jag())
    assert refused(wrong) == "invalid_client"


def test_a_client_that_registered_itself_has_no_use_for_one(place: Place) -> None:
    asked = {
        "redirect_uris": ["https://client.example/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    url = f"{place.bascule.url}/oauth/register"
    made = requests.post(url, json=asked, timeout=PATIENCE).json()
    itself = made["client_id"], made["client_secret"]
    assertion = place.id_jag(client_id=made["client_id"])
    answer = place.post(itself, grant_type=GRANT, assertion=assertion)
    assert refused(answer) == "unauthorized_client"


def test_an_assertion_is_no_access_token(place: Place) -> None:
    assert place.bascule.call(place.id_jag(), "tools/list").status == 401
    assert place.bascule.call(place.service_account(), "tools/list").status == 401


def test_a_disabled_user_stays_out(place: Place) -> None:
    assert place.asserted(place.id_jag(sub="00u9")).status_code == 200
    disabled = place.bascule.cli("user", "disable", f"user:{place.url}|00u9")
    assert disabled.exit_code == 0, disabled.stderr
    assert refused(place.asserted(place.id_jag(sub="00u9"))) == "invalid_grant"
