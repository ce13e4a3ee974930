"""Configurations of the proxies that Bascule is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey

from bascule.bench.request import AUDIENCE, TOOL, USER
from bascule.clock import UnixTime

RULES = 60
"""Rules that do not apply, beside the one that does; Bascule has as many policies."""
ISSUER = "https://bench.example"
_TYPES = "type.googleapis.com/envoy.extensions"
_MANAGER = "filters.network.http_connection_manager"
_JWT = "envoy.filters.http.jwt_authn"
_MCP = "envoy.filters.http.mcp"

Json = dict[str, Any]


def nginx_raw(folder: Path, *, port: int, upstream: int) -> str:
    """Write nginx's configuration: a plain proxy, one process."""
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; {paths}
  keepalive_requests 1000000000; client_body_buffer_size 256k;
  upstream u {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
"""


def envoy_raw(*, port: int, upstream: int) -> bytes:
    """Write Envoy's configuration as a plain proxy."""
    return _envoy(port, upstream, filters=[], log=None)


def envoy_full(*, port: int, upstream: int, jwks: Json, access_log: Path) -> bytes:
    """Write Envoy's nearest equivalent: JWT with cache, MCP filter, RBAC, JSON log."""
    return _envoy(
        port,
        upstream,
        filters=[_jwt_filter(jwks), _mcp_filter(), _rbac_filter()],
        log=_json_log(access_log),
    )


def envoy_credentials(now: UnixTime, seconds: int) -> tuple[str, Json]:
    """Sign a token that Envoy can verify (RS256), and give it with its JWKS."""
    key = RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"})
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": USER, "iat": now, "exp": now + seconds}
    token = jwt.encode({"alg": "RS256", "kid": "bench"}, claims, key)
    return token, {"keys": [key.as_dict(private=False)]}


def _envoy(port: int, upstream: int, *, filters: list[Json], log: Json | None) -> bytes:
    manager: Json = {
        "@type": f"{_TYPES}.{_MANAGER}.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "generate_request_id": log is not None,
        "stream_idle_timeout": "0s",
        "route_config": {"virtual_hosts": [_route()]},
        "http_filters": [
            *filters,
            _filter("envoy.filters.http.router", "router", "Router"),
        ],
        "access_log": [] if log is None else [log],
    }
    listener = {
        "address": _address(port),
        "filter_chains": [
            {"filters": [{"name": f"envoy.{_MANAGER}", "typed_config": manager}]}
        ],
    }
    resources = {"listeners": [listener], "clusters": [_cluster(upstream)]}
    return msgspec.json.encode({"static_resources": resources})


def _route() -> Json:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}
    return {"name": "all", "domains": ["*"], "routes": [route]}


def _cluster(port: int) -> Json:
    many = {"max_connections": 1024, "max_pending_requests": 1024, "max_requests": 1024}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    return {
        "name": "upstream",
        "type": "STATIC",
        "connect_timeout": "2s",
        "circuit_breakers": {"thresholds": [many]},
        "load_assignment": {"cluster_name": "upstream", "endpoints": endpoints},
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _filter(name: str, package: str, message: str, **options: object) -> Json:
    kind = f"{_TYPES}.filters.http.{package}.v3.{message}"
    return {"name": name, "typed_config": {"@type": kind, **options}}


def _jwt_filter(jwks: Json) -> Json:
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": msgspec.json.encode(jwks).decode()},
        "payload_in_metadata": "jwt",
        "forward": False,
        "jwt_cache_config": {"jwt_cache_size": 1000},
    }
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}
    return _filter(
        _JWT, "jwt_authn", "JwtAuthentication", providers={"bench": provider}, rules=[rule]
    )


def _mcp_filter() -> Json:
    return _filter(_MCP, "mcp", "Mcp", traffic_mode="REJECT_NO_MCP")


def _rbac_filter() -> Json:
    policies = {f"p{n:02}": _rbac_rule(f"tool{n}", f"user-{n}") for n in range(RULES)}
    policies["zz"] = _rbac_rule(TOOL, USER)
    rules = {"action": "ALLOW", "policies": policies}
    return _filter("envoy.filters.http.rbac", "rbac", "RBAC", rules=rules)


def _rbac_rule(tool: str, user: str) -> Json:
    named = [_metadata(_MCP, "method", "tools/call"), _metadata(_MCP, "params.name", tool)]
    return {
        "permissions": [{"and_rules": {"rules": named}}],
        "principals": [_metadata(_JWT, "jwt.sub", user)],
    }


def _metadata(source: str, path: str, value: str) -> Json:
    keys = [{"key": key} for key in path.split(".")]
    matcher = {"filter": source, "path": keys, "value": {"string_match": {"exact": value}}}
    return {"metadata": matcher}


def _json_log(path: Path) -> Json:
    fields = {
        "time": "%START_TIME%",
        "status": "%RESPONSE_CODE%",
        "duration": "%DURATION%",
        "user": f"%DYNAMIC_METADATA({_JWT}:jwt:sub)%",
        "method": f"%DYNAMIC_METADATA({_MCP}:method)%",
        "tool": f"%DYNAMIC_METADATA({_MCP}:params:name)%",
        "request": "%REQ(X-REQUEST-ID)%",
        "details": "%RESPONSE_CODE_DETAILS%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_TYPES}.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": fields},
        },
    }
