"""A machine of its own, with servers of all kinds on it, that is scanned.

    unshare -Urn --pid --fork --mount-proc --kill-child python -m system.host_scene FOLDER

Prints what the scans found. Nothing outside of the namespace can be seen or reached.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE
from typing import Any

from certificates import new_authority
from patience import until
from twins.server import twin

LAN = "10.77.0.5"
OPEN_PORT, BEHIND_PORT, INNER_PORT = 8000, 8001, 8002
SECRET = "sk-proj-S3CR3Tcanary0123456789abcdefghij"
ECHO, SILENT, BANNER, TLS, NGINX = 9000, 9001, 9002, 9003, 9004
SDK_SERVER = """\
import sys
from mcp.server.mcpserver import MCPServer
server = MCPServer("weather")
server.tool(name="forecast")(lambda city: city)
server.run(transport="streamable-http", host="0.0.0.0", port=int(sys.argv[1]))
"""
SHADOW = """\
import sys
if "never" in sys.argv:
    from mcp.server.mcpserver import MCPServer
sys.stdin.read()
"""
LISTENER = """\
import socket, time
sock = socket.create_server(("127.0.0.1", {port}))
print("listens", flush=True)
time.sleep(600)
"""
NGINX_CONFIGURATION = """
daemon off; user root; pid {folder}/nginx.pid; error_log {folder}/nginx.log; events {{}}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
server {{ listen {port}; location / {{ return 404; }} }} }}
"""


class Heard(socketserver.ThreadingTCPServer):
    """Keeps what it is told."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port: int, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.heard = b""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.server.heard += data  # type: ignore[attr-defined]
            self.request.sendall(data)


class Banner(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
        self.server.heard += self.request.recv(4096)  # type: ignore[attr-defined]


def main() -> None:
    folder = Path(sys.argv[1])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{LAN}/24", "dev", "lo"], check=True)
    with contextlib.ExitStack() as stack:
        heard = [Heard(ECHO, Echo), Heard(BANNER, Banner)]
        stack.enter_context(socket.create_server(("127.0.0.1", SILENT)))
        stack.enter_context(tls_listener(folder))
        known = stack.enter_context(twin())
        for name, command in programs(folder).items():
            output = (folder / "inner.out").open("wb") if name == "inner" else PIPE
            process = subprocess.Popen(
                command,
                stdin=PIPE,
                stdout=output,
                stderr=(folder / "stderr").open("ab"),
                cwd=folder,
            )
            stack.callback(process.kill)
        for port in (OPEN_PORT, BEHIND_PORT, NGINX):
            until(lambda port=port: listens(port))  # type: ignore[misc]
        until(lambda: inner_listens(folder))
        write_files(folder, known.url)
        with ThreadPoolExecutor() as both:
            told = dict(both.map(lambda it: (it[0], scan(folder, *it[1])), SCANS.items()))
        bodies = [body for _method, _target, _headers, body in known.seen]
        told["heard"] = "tools/call" in str([*(it.heard for it in heard), *bodies])
        told["known"] = known.url
    print(json.dumps(told))


SCANS = {
    "host": ("scan", "host", "--json"),
    "both": ("scan", "--json"),
    "posture": ("posture", "--scan", "--json"),
}


def programs(folder: Path) -> dict[str, list[str]]:
    python = sys.executable
    (folder / "server.py").write_text(SDK_SERVER)
    (folder / "shadow.py").write_text(SHADOW)
    (folder / "inner.py").write_text(LISTENER.format(port=INNER_PORT))
    configuration = NGINX_CONFIGURATION.format(folder=folder, port=NGINX)
    (folder / "nginx.conf").write_text(configuration)
    inner = f"ip link set lo up; exec {python} inner.py"
    return {
        "open": [python, "server.py", str(OPEN_PORT)],
        "behind": [python, "server.py", str(BEHIND_PORT)],
        "clock": [python, "-m", "mcp_server_time", "--local-timezone=UTC"],
        "shadow": [python, "shadow.py", "--api-key", SECRET],
        "nginx": ["nginx", "-c", str(folder / "nginx.conf"), "-e", "stderr"],
        "inner": ["unshare", "-n", "sh", "-c", inner],
    }


def write_files(folder: Path, known: str) -> None:
    home = folder / "home"
    (home / ".cursor").mkdir(parents=True)
    servers = {
        "ledger": {"url": f"{known}?key={SECRET}"},
        "clock": {
            "command": sys.executable,
            "args": ["-m", "mcp_server_time", "--local-timezone=UTC"],
        },
        "idle": {"command": "uvx", "args": ["mcp-server-git==2026.1.14"]},
    }
    (home / ".cursor" / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    (folder / "bascule.toml").write_text(
        f'[connectors.behind]\nurl = "http://localhost:{BEHIND_PORT}/mcp"\nowner = "me"\n'
    )


@contextlib.contextmanager
def tls_listener(folder: Path) -> Iterator[None]:
    """Run something that speaks TLS, and behind it no HTTP."""
    context = new_authority().server(folder, "localhost")

    class Secured(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                contextlib.suppress(OSError, ssl.SSLError),
                context.wrap_socket(self.request, server_side=True) as inner,
            ):
                inner.sendall(b"220 mail ready\r\n")
                inner.recv(100)

    server = Heard(TLS, Secured)
    yield
    server.shutdown()


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def inner_listens(folder: Path) -> bool:
    return b"listens" in (folder / "inner.out").read_bytes()


def scan(folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bascule.cli.main", *words],
        cwd=folder,
        env={**os.environ, "HOME": str(folder / "home")},
        capture_output=True,
        text=True,
    )
    return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


if __name__ == "__main__":
    main()
