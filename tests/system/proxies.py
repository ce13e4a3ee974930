"""Reverse proxies as real processes, set up by the files of `deploy/`."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from certificates import Authority
from patience import PATIENCE, until

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVED_NAME = "localhost"
ADDRESS = "127.0.0.1"
"""Where proxies listen, and connect from."""

AROUND_NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {included};
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, server: str, port: int) -> Iterator[None]:
    """Run nginx with a server of one's own."""
    file = folder / "server.conf"
    file.write_text(server)
    with _running(_nginx(folder, file), folder, port):
        yield


def _nginx(folder: Path, file: Path) -> list[str]:
    around = folder / "around.conf"
    around.write_text(AROUND_NGINX.format(folder=folder, included=file))
    return [_program("nginx"), "-p", str(folder), "-c", str(around), "-e", "stderr"]


def _caddy(folder: Path, file: Path) -> list[str]:
    # Neither its admin endpoint nor its redirect on port 80 is wanted in a test.
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    file.write_text(options + file.read_text())
    return [_program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]


def _haproxy(folder: Path, file: Path) -> list[str]:
    return [_program("haproxy"), "-db", "-f", str(file)]


def _envoy(folder: Path, file: Path) -> list[str]:
    program = str(Path(sys.executable).with_name("envoy"))
    options = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]
    return [program, "-c", str(file), *options]


_COMMANDS: Mapping[str, Callable[[Path, Path], list[str]]] = {
    "nginx.conf": _nginx,
    "Caddyfile": _caddy,
    "haproxy.cfg": _haproxy,
    "envoy.yaml": _envoy,
}
FILES = tuple(_COMMANDS)

_LISTENS = {
    "nginx.conf": ("listen 443 ssl", "listen {address}:{port} ssl"),
    "Caddyfile": ("\nmcp.example.com {", "\nmcp.example.com:{port} {{\n\tbind {address}"),
    "haproxy.cfg": ("bind :443 ssl", "bind {address}:{port} ssl"),
    "envoy.yaml": (
        "{ address: 0.0.0.0, port_value: 443 }",
        "{{ address: {address}, port_value: {port} }}",
    ),
}
_BACKENDS = {
    "envoy.yaml": ("address: 10.0.0.5, port_value: 8420", "address: {}, port_value: {}")
}
_BACKEND = ("10.0.0.5:8420", "{}:{}")


@contextlib.contextmanager
def proxy(
    name: str, folder: Path, listen: int, to: int, authority: Authority
) -> Iterator[None]:
    """Run a proxy by a file of `deploy/`, with other names, places and ports only."""
    certificate, key = authority.write(folder, SERVED_NAME)
    both = folder / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    text = (DEPLOY / name).read_text()
    before, after = _LISTENS[name]
    backend, own = _BACKENDS.get(name, _BACKEND)
    changes = [
        (before, after.format(address=ADDRESS, port=listen)),
        (backend, own.format(ADDRESS, to)),
        ("mcp.example.com", SERVED_NAME),
    ]
    if name == "haproxy.cfg":
        changes.append(("/etc/bascule/haproxy.pem", str(both)))
    else:
        changes.append(("/etc/bascule/cert.pem", str(certificate)))
        changes.append(("/etc/bascule/key.pem", str(key)))
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    file = folder / name
    file.write_text(text)
    with _running(_COMMANDS[name](folder, file), folder, listen):
        yield


@contextlib.contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    home = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin"}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=home, stdout=output, stderr=subprocess.STDOUT
        )

    def listens() -> bool:
        said = (folder / "output").read_text
        assert process.poll() is None, f"{command[0]} did not start: {said()}"
        with socket.socket() as probe:
            return probe.connect_ex((ADDRESS, port)) == 0

    try:
        until(listens)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert found is not None, f"{name} is missing: run `make system-packages` as root"
    return found
