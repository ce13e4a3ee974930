"""Agents that act by themselves, driven by a client library of others (Authlib).

Metadata, `client_credentials`, introspection and revocation of a real `bascule up`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bascule.clock import system_clock, system_entropy
from patience import PATIENCE, until
from system.recorder import Recorder
from system.server import Installation, serving

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEYS = {
    "ES256": ECKey.generate_key("P-256"),
    "RS256": RSAKey.generate_key(2048),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("agents")
    with serving(folder, recorder) as made:
        yield made


@pytest.fixture(scope="module")
def secret(bascule: Installation) -> str:
    return str(bascule.ask("agent", "add", "headless", "--secret")["client_secret"])


@pytest.fixture(scope="module", params=list(KEYS))
def signer(bascule: Installation, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Register an agent with a key of that algorithm; gives its id and the algorithm."""
    algorithm = request.param
    jwks = {"keys": [KEYS[algorithm].as_dict(private=False)]}
    path = bascule.folder / f"{algorithm}.json"
    path.write_text(json.dumps(jwks))
    name = f"signer-{algorithm.lower()}"
    bascule.ask("agent", "add", name, "--jwks", str(path))
    return name, algorithm


def resource(bascule: Installation, connector: str = "desk") -> str:
    return f"{bascule.url}/c/{connector}/mcp"


def post(bascule: Installation, path: str, **form: str) -> requests.Response:
    return requests.post(f"{bascule.url}/oauth/{path}", form, timeout=PATIENCE)


def until_refused(bascule: Installation, token: str) -> None:
    """Wait until a token no longer counts."""
    until(lambda: bascule.call(token, "tools/list").status == 401)


def session(client_id: str, secret: str, method: str) -> OAuth2Session:
    return OAuth2Session(client_id, secret, token_endpoint_auth_method=method)


# Metadata (GW-108, GW-109)


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
def test_metadata_says_what_is_there(bascule: Installation, name: str) -> None:
    answer = requests.get(f"{bascule.url}/.well-known/{name}", timeout=PATIENCE)
    said = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert said["issuer"] == bascule.url
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["response_types_supported"] == ["code"]
    assert said["authorization_response_iss_parameter_supported"] is True
    assert said["client_id_metadata_document_supported"] is True
    assert "registration_endpoint" not in said
    assert not any("desk" in str(value) for value in said.values())
    for member in ("token", "revocation", "introspection"):
        address = said[f"{member}_endpoint"]
        assert requests.post(address, timeout=PATIENCE).status_code in {400, 401}
    keys = requests.get(said["jwks_uri"], timeout=PATIENCE).json()["keys"]
    assert [key["alg"] for key in keys] == ["Ed25519"]


def test_the_issuer_is_the_configured_one_whatever_a_request_says(
    bascule: Installation,
) -> None:
    address = f"{bascule.url}/.well-known/oauth-authorization-server"
    forged = {
        "Host": f"localhost:{bascule.public}",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil.example;proto=https",
    }
    said = requests.get(address, headers=forged, timeout=PATIENCE).json()
    assert said["issuer"] == bascule.url
    assert said["token_endpoint"] == f"{bascule.url}/oauth/token"
    hostile = requests.get(address, headers={"Host": "evil.example"}, timeout=PATIENCE)
    assert hostile.status_code == 421


def test_scripts_of_a_listed_origin_may_call_and_others_may_not(
    bascule: Installation,
) -> None:
    address = f"{bascule.url}/oauth/token"
    asking = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    ours = requests.options(
        address, headers={"Origin": bascule.url, **asking}, timeout=PATIENCE
    )
    assert ours.status_code == 200
    assert ours.headers["access-control-allow-origin"] == bascule.url
    theirs = requests.options(
        address, headers={"Origin": "https://evil.example", **asking}, timeout=PATIENCE
    )
    assert theirs.status_code == 403
    assert "access-control-allow-origin" not in theirs.headers
    plain = requests.options(address, timeout=PATIENCE)
    assert (plain.status_code, plain.headers["allow"]) == (204, "POST, OPTIONS")


# client_credentials (GW-132)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_an_agent_with_a_secret_gets_a_token_that_works(
    bascule: Installation, secret: str, method: str
) -> None:
    with session("headless", secret, method) as client:
        token = client.fetch_token(
            f"{bascule.url}/oauth/token",
            grant_type="client_credentials",
            resource=resource(bascule),
        )
    assert token["token_type"] == "Bearer"
    assert token["scope"] == "mcp:desk"
    assert token["expires_in"] == 600
    assert "refresh_token" not in token
    assert bascule.call(token["access_token"], "tools/list").status == 200
    other = bascule.call(token["access_token"], "tools/list", connector="annex")
    assert other.status == 401


def test_an_agent_with_a_key_gets_a_token_that_works(
    bascule: Installation, signer: tuple[str, str]
) -> None:
    name, algorithm = signer
    endpoint = f"{bascule.url}/oauth/token"
    if algorithm == "RS256":  # the one that Authlib signs with
        key = KEYS[algorithm].as_dict(private=True)
        method = PrivateKeyJWT(endpoint, alg=algorithm)
        with OAuth2Session(name, key, token_endpoint_auth_method=method) as client:
            token = client.fetch_token(
                endpoint, grant_type="client_credentials", resource=resource(bascule)
            )
    elif algorithm == "EdDSA":
        token = with_assertion(bascule, ed25519_assertion(bascule, name)).json()
    else:
        header, body = {"alg": algorithm}, claims(bascule, name)
        signed = jwt.encode(header, body, KEYS[algorithm])
        token = with_assertion(bascule, signed).json()
    assert bascule.call(token["access_token"], "tools/list").status == 200


def ed25519_assertion(bascule: Installation, name: str) -> str:
    """Sign an assertion as older libraries do, which call Ed25519 EdDSA."""
    header = encoded({"alg": "EdDSA"})
    signed = f"{header}.{encoded(claims(bascule, name))}".encode()
    key = KEYS["EdDSA"].private_key
    assert key is not None
    return f"{signed.decode()}.{base64url(key.sign(signed))}"  # type: ignore[union-attr,call-arg]


def encoded(document: dict[str, Any]) -> str:
    return base64url(json.dumps(document).encode())


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(bascule: Installation, name: str, **change: Any) -> dict[str, Any]:
    now = system_clock()
    found = {
        "iss": name,
        "sub": name,
        "aud": bascule.url,
        "iat": now,
        "exp": now + 60,
        "jti": system_entropy(16).hex(),
        **change,
    }
    return {key: value for key, value in found.items() if value is not None}


def with_assertion(bascule: Installation, assertion: str, **more: str) -> requests.Response:
    return post(
        bascule,
        "token",
        grant_type="client_credentials",
        resource=resource(bascule),
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=assertion,
        **more,
    )


@pytest.fixture(scope="module")
def es256(bascule: Installation) -> Callable[..., str]:
    """Register an agent with an EC key; gives what signs its assertions."""
    key = ECKey.generate_key("P-256")
    path = bascule.folder / "assertions.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    bascule.ask("agent", "add", "asserter", "--jwks", str(path))

    def sign(**change: Any) -> str:
        return jwt.encode({"alg": "ES256"}, claims(bascule, "asserter", **change), key)

    return sign


@pytest.mark.parametrize("slash", ["", "/", "/oauth/token"])
def test_an_assertion_is_for_the_issuer_or_the_token_endpoint(
    bascule: Installation, es256: Callable[..., str], slash: str
) -> None:
    assert with_assertion(bascule, es256(aud=bascule.url + slash)).status_code == 200


def test_an_assertion_counts_once(bascule: Installation, es256: Callable[..., str]) -> None:
    assertion = es256()
    assert with_assertion(bascule, assertion).status_code == 200
    again = with_assertion(bascule, assertion)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://other.example"},
        {"aud": None},
        {"iss": "headless"},
        {"sub": "headless"},
        {"jti": None},
        {"jti": ""},
        {"exp": None},
        {"exp": 1},
        {"exp": 99_999_999_999},
        {"nbf": 99_999_999_999},
        {"iat": 99_999_999_999},
    ],
    ids=str,
)
def test_an_assertion_with_one_wrong_claim_is_refused(
    bascule: Installation, es256: Callable[..., str], change: dict[str, Any]
) -> None:
    answer = with_assertion(bascule, es256(**change))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_assertion_for_two_servers_is_refused(
    bascule: Installation, es256: Callable[..., str]
) -> None:
    both = [bascule.url, "https://other.example"]
    assert with_assertion(bascule, es256(aud=both)).status_code == 401


def test_an_assertion_by_another_key_or_algorithm_is_refused(
    bascule: Installation, es256: Callable[..., str]
) -> None:
    stranger = ECKey.generate_key("P-256")
    body = claims(bascule, "asserter")
    forged = jwt.encode({"alg": "ES256"}, body, stranger)
    unsigned = f"{encoded({'alg': 'none'})}.{encoded(body)}."
    symmetric = f"{encoded({'alg': 'HS256'})}.{encoded(body)}.{base64url(b'x' * 32)}"
    good = es256()
    broken = good[:-8] + ("A" * 8 if good[-8:] != "A" * 8 else "B" * 8)
    for assertion in (forged, unsigned, symmetric, broken, "", "a.b.c", "\x00"):
        answer = with_assertion(bascule, assertion)
        assert answer.status_code in {400, 401}
        assert "access_token" not in answer.text


def test_a_wrong_secret_and_an_unknown_client_get_the_same_answer(
    bascule: Installation, secret: str
) -> None:
    asked = {"grant_type": "client_credentials", "resource": resource(bascule)}
    wrong = post(
        bascule, "token", client_id="headless", client_secret=f"{secret}x", **asked
    )
    unknown = post(bascule, "token", client_id="nobody", client_secret=secret, **asked)
    none = post(bascule, "token", client_id="headless", **asked)
    assert wrong.status_code == unknown.status_code == none.status_code == 401
    assert wrong.json() == unknown.json() == none.json()
    assert wrong.json()["error"] == "invalid_client"
    by_header = requests.post(
        f"{bascule.url}/oauth/token", asked, auth=("headless", "x"), timeout=PATIENCE
    )
    assert by_header.headers["www-authenticate"].startswith("Basic ")
    failures = bascule.wait_for_records("--type", "auth.fail")
    assert secret not in json.dumps(failures)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
        ({"resource": ""}, "invalid_target"),
        ({"scope": "mcp:annex"}, "invalid_scope"),
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"scope": 'mcp:desk "'}, "invalid_scope"),
    ],
    ids=str,
)
def test_a_request_with_one_wrong_parameter_gets_its_error(
    bascule: Installation, secret: str, change: dict[str, str], error: str
) -> None:
    good = {
        "grant_type": "client_credentials",
        "resource": resource(bascule),
        "client_id": "headless",
        "client_secret": secret,
    }
    answer = post(bascule, "token", **{**good, **change})
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("scope", "given"),
    [
        ("mcp:desk", "mcp:desk"),
        ("desk.echo", "desk.echo"),
        ("desk.echo mcp:desk mcp:annex unknown", "desk.echo mcp:desk"),
        ("offline_access", "mcp:desk"),
        ("offline_access desk.echo", "desk.echo"),
    ],
)
def test_scopes_of_others_are_left_out_and_the_answer_says_so(
    bascule: Installation, secret: str, scope: str, given: str
) -> None:
    answer = post(
        bascule,
        "token",
        grant_type="client_credentials",
        resource=resource(bascule),
        client_id="headless",
        client_secret=secret,
        scope=scope,
    )
    assert answer.json()["scope"] == given


def test_a_client_that_names_no_resource_is_understood_by_its_scope_alone(
    bascule: Installation, secret: str
) -> None:
    asked = {
        "grant_type": "client_credentials",
        "client_id": "headless",
        "client_secret": secret,
    }
    understood = post(bascule, "token", scope="mcp:annex", **asked).json()
    assert (
        bascule.call(understood["access_token"], "tools/list", connector="annex").status
        == 200
    )
    for scope in ("", "desk.echo", "mcp:desk mcp:annex"):
        refused = post(bascule, "token", scope=scope, **asked)
        assert refused.json()["error"] == "invalid_target"


def test_two_resources_or_a_doubled_parameter_are_refused(
    bascule: Installation, secret: str
) -> None:
    base = [
        ("grant_type", "client_credentials"),
        ("client_id", "headless"),
        ("client_secret", secret),
    ]
    both = [("resource", resource(bascule)), ("resource", resource(bascule, "annex"))]
    address = f"{bascule.url}/oauth/token"
    found = requests.post(address, base + both, timeout=PATIENCE)
    assert found.json()["error"] == "invalid_target"
    doubled = [*base, both[0], ("scope", "mcp:desk"), ("scope", "mcp:desk")]
    found = requests.post(address, doubled, timeout=PATIENCE)
    assert found.json()["error"] == "invalid_request"


def test_two_ways_to_authenticate_are_refused(bascule: Installation, secret: str) -> None:
    form = {
        "grant_type": "client_credentials",
        "resource": resource(bascule),
        "client_id": "headless",
        "client_secret": secret,
    }
    answer = requests.post(
        f"{bascule.url}/oauth/token", form, auth=("headless", secret), timeout=PATIENCE
    )
    assert answer.json()["error"] == "invalid_request"


def test_json_is_no_form(bascule: Installation) -> None:
    address = f"{bascule.url}/oauth/token"
    answer = requests.post(
        address, json={"grant_type": "client_credentials"}, timeout=PATIENCE
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_public_agent_gets_no_token_for_itself(bascule: Installation) -> None:
    bascule.ask("agent", "add", "public-app", "--redirect-uri", "http://localhost/cb")
    answer = post(
        bascule,
        "token",
        grant_type="client_credentials",
        client_id="public-app",
        resource=resource(bascule),
    )
    assert answer.json()["error"] == "unauthorized_client"


def test_a_disabled_agent_gets_no_token(bascule: Installation) -> None:
    secret = bascule.ask("agent", "add", "gone", "--secret")["client_secret"]
    with session("gone", secret, "client_secret_post") as client:
        ask = {"grant_type": "client_credentials", "resource": resource(bascule)}
        token = client.fetch_token(f"{bascule.url}/oauth/token", **ask)
        bascule.ask("agent", "disable", "gone")
        with pytest.raises(OAuthError, match="invalid_client"):
            client.fetch_token(f"{bascule.url}/oauth/token", **ask)
    until_refused(bascule, token["access_token"])


def test_a_token_is_in_the_log_before_it_is_given(
    bascule: Installation, secret: str
) -> None:
    with session("headless", secret, "client_secret_post") as client:
        token = client.fetch_token(
            f"{bascule.url}/oauth/token",
            grant_type="client_credentials",
            resource=resource(bascule),
        )["access_token"]
    jti = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
    bascule.wait_for_records("--type", "token.issue", "--agent", "headless")
    until(lambda: jti in json.dumps(bascule.whole_records()))
    shown = json.dumps(bascule.whole_records())
    assert token not in shown
    assert secret not in shown


# Introspection (RFC 7662)


@pytest.fixture(scope="module")
def given(bascule: Installation, secret: str) -> str:
    answer = post(
        bascule,
        "token",
        grant_type="client_credentials",
        resource=resource(bascule),
        client_id="headless",
        client_secret=secret,
    )
    return str(answer.json()["access_token"])


def test_a_client_may_ask_about_its_own_token(
    bascule: Installation, secret: str, given: str
) -> None:
    with session("headless", secret, "client_secret_basic") as client:
        address = f"{bascule.url}/oauth/introspect"
        said = client.introspect_token(address, token=given).json()
    assert said["active"] is True
    assert said["client_id"] == said["sub"] == "headless"
    assert said["aud"] == resource(bascule)
    assert said["iss"] == bascule.url
    assert said["scope"] == "mcp:desk"
    assert said["exp"] - said["iat"] == 600


def test_nobody_learns_of_the_token_of_another(bascule: Installation, given: str) -> None:
    secret = bascule.ask("agent", "add", "curious", "--secret")["client_secret"]
    for token in (given, "nonsense", f"{given}x", "bsc_rt_" + "0" * 64, "a.b.c", "\u00e9"):
        answer = post(
            bascule, "introspect", client_id="curious", client_secret=secret, token=token
        )
        assert answer.json() == {"active": False}


def test_introspection_wants_a_client_that_authenticates(
    bascule: Installation, given: str
) -> None:
    assert post(bascule, "introspect", token=given).status_code == 400
    for client_id in ("headless", "robot", "nobody"):
        answer = post(bascule, "introspect", token=given, client_id=client_id)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


# Revocation (RFC 7009, GW-117)


def test_a_client_revokes_its_token_and_no_other(
    bascule: Installation, secret: str
) -> None:
    with session("headless", secret, "client_secret_basic") as client:
        ask = {"grant_type": "client_credentials", "resource": resource(bascule)}
        endpoint = f"{bascule.url}/oauth/token"
        first = client.fetch_token(endpoint, **ask)["access_token"]
        second = client.fetch_token(endpoint, **ask)["access_token"]
        assert bascule.call(first, "tools/list").status == 200
        answer = client.revoke_token(f"{bascule.url}/oauth/revoke", token=first)
        assert answer.status_code == 200
        until_refused(bascule, first)
        assert bascule.call(second, "tools/list").status == 200
        said = client.introspect_token(f"{bascule.url}/oauth/introspect", token=first)
        assert said.json() == {"active": False}
        until(lambda: len(revocations(bascule)) == 1)
        for _ in range(3):
            again = client.revoke_token(f"{bascule.url}/oauth/revoke", token=first)
            assert again.status_code == 200
        third = client.fetch_token(endpoint, **ask)["access_token"]
        client.revoke_token(f"{bascule.url}/oauth/revoke", token=third)
        until(lambda: len(revocations(bascule)) == 2)


def revocations(bascule: Installation) -> list[dict[str, Any]]:
    return bascule.records("--type", "revoke", "--agent", "headless")


def test_a_client_revokes_nothing_of_another(bascule: Installation, given: str) -> None:
    secret = bascule.ask("agent", "add", "hostile", "--secret")["client_secret"]
    answer = post(bascule, "revoke", client_id="hostile", client_secret=secret, token=given)
    assert answer.status_code == 200
    refused = post(bascule, "revoke", client_id="headless", token=given)
    assert refused.status_code == 401
    assert bascule.call(given, "tools/list").status == 200


def test_no_secret_is_in_any_file_of_the_server(
    bascule: Installation, secret: str, given: str
) -> None:
    kept = [it.read_bytes() for it in bascule.data.rglob("*") if it.is_file()]
    assert kept
    for canary in (secret, given):
        assert not any(canary.encode() in content for content in kept)
