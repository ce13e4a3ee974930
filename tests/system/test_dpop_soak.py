"""What a proof costs: CPU time of the server for a call with one, beside a call without."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
import requests

from foreign import signer
from proofs import Prover
from system.oauth_browser import CALLBACK, Flow, answer_of, sign_in
from system.recorder import Recorder
from system.server import Installation, _request, body_of, headers_of, serving

CALLS, TURN = 3000, 100


def cpu_seconds(bascule: Installation) -> float:
    """Give what all threads of the server have had of the processors so far."""
    assert bascule.process is not None
    threads = Path(f"/proc/{bascule.process.pid}/task").glob("*/schedstat")
    return sum(int(it.read_text().split()[0]) for it in threads) / 1e9


def cost(bascule: Installation, headers: list[dict[str, str]]) -> float:
    """Make a call with each, on one connection; gives microseconds of CPU for one."""
    body, connection = body_of("tools/list"), bascule.connect()
    before = cpu_seconds(bascule)
    for it in headers:
        response = _request(
            connection, "POST", "/c/desk/mcp", body, {**headers_of(body, None), **it}
        )
        response.read()
        assert response.status == 200
    spent = cpu_seconds(bascule) - before
    connection.close()
    return spent / len(headers) * 1e6


@pytest.mark.soak
@pytest.mark.on_disk
@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_a_proof_costs_little(
    tmp_path: Path, recorder: Recorder, algorithm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prover = Prover(signer("", algorithm))
    with serving(tmp_path, recorder) as bascule:
        bascule.ask("agent", "add", "app", "--redirect-uri", CALLBACK)
        flow = Flow(bascule, sign_in(bascule, "alice"))
        endpoint, here = f"{bascule.url}/oauth/token", f"{bascule.url}/c/desk/mcp"
        form = {
            "grant_type": "authorization_code",
            "client_id": "app",
            "code": answer_of(flow.callback())["code"],
            "code_verifier": flow.verifier,
            "redirect_uri": CALLBACK,
        }
        proof = prover.proof(endpoint, now=time.time()).decode()
        answer = requests.post(endpoint, form, headers={"DPoP": proof}, timeout=30).json()
        token, bearer = answer["access_token"], bascule.token()
        plain = [{"Authorization": f"Bearer {bearer}"}] * CALLS
        proven = [
            {
                "Authorization": f"DPoP {token}",
                "DPoP": prover.proof(here, now=time.time(), token=token).decode(),
            }
            for _ in range(CALLS)
        ]
        cost(bascule, plain[:200])
        pairs = [
            (cost(bascule, plain[it : it + TURN]), cost(bascule, proven[it : it + TURN]))
            for it in range(0, CALLS, TURN)  # by turns: the machine may do other work too
        ]
    without = statistics.median(it for it, _ in pairs)
    more = statistics.median(beside - it for it, beside in pairs)
    with capsys.disabled():
        print(f"\n{algorithm}: {without:.0f} us a call, {more:.0f} us more with a proof")
