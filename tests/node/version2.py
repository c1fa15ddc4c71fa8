"""A witness of another version of the mesh protocol, as a process: `python -m tests.node.version2 STATE NAME PORT [VERSION]`.

It cosigns whatever it is shown, as C2SP says, and states its version, or none.  One line goes to standard output
for each checkpoint that it was shown.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mesh.exchange import VERSION_HEADER, parse_request
from mesh.node.founding import witness_key
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.cosignature import cosign
from recorder.core.note import parse_note


def serve(state: Path, name: str, port: int, version: str | None) -> None:
    """Answer until killed."""
    signer = witness_key(state)

    class Witness(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/add-checkpoint":
                self._answer(404, b"")
                return
            line = cosign(parse_checkpoint(parse_note(parse_request(body).note).text), name, signer, int(time.time()))
            self._answer(200, f"{line}\n".encode())
            print(self.path, self.headers[VERSION_HEADER], flush=True)

        def do_GET(self) -> None:
            self._answer(404, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if version is not None:
                self.send_header(VERSION_HEADER, version)
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("0.0.0.0", port), Witness)
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
