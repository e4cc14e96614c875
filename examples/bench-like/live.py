"""Tells whoever listens how the jobs go: server-sent events with what the web tier says, once a second.

    curl -N http://127.0.0.1:8001/
"""

import json
import os
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WEB = os.environ["WEB"]
HOST, PORT = os.environ["LISTEN"].rsplit(":", 1)


class Live(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        try:
            while True:
                self.wfile.write(f"data: {counts()}\n\n".encode())
                time.sleep(1)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The listener has left.


def counts():
    try:
        with urllib.request.urlopen(WEB, timeout=5) as answer:
            return answer.read().decode()
    except OSError as error:
        return json.dumps({"error": str(error)})


if __name__ == "__main__":
    server = ThreadingHTTPServer((HOST, int(PORT)), Live)
    print(f"live events of {WEB} at http://{HOST}:{PORT}/", flush=True)
    server.serve_forever()
