"""A server on loopback that misbehaves, for tests/lua/models_get_spec.lua.

    python3 flaky_server.py FILE LOG     prints its port, then serves until its stdin ends

The first part of a request's path is the mood, the rest does not matter:
good, norange (ignores ranges), cut (breaks off after 4000 bytes), cutnorange, stall (says nothing more
after that), wrong (a byte differs), long (more bytes than it should), short (fewer, and ends well),
missing (404), broken (500), moved (to `good`), circle (to itself), tofile, toftp, tohttps (to addresses
that must not be followed, or are not there).
LOG gets a line for every request: mood and Range header.
"""
import http.server
import sys
import threading
import time

BODY = open(sys.argv[1], "rb").read()
STEP = 4000
MOVED = {"moved": "/good/toy.pth", "circle": "/circle/toy.pth", "tofile": "file://" + sys.argv[1],
         "toftp": "ftp://127.0.0.1:9/toy.pth", "tohttps": "https://127.0.0.1:9/toy.pth"}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        mood = self.path.split("/")[1]
        span = self.headers.get("Range")
        with open(sys.argv[2], "a") as log:
            log.write("%s %s\n" % (mood, span or "whole"))
        if mood in ("missing", "broken"):
            return self.send_error(404 if mood == "missing" else 500)
        if mood in MOVED:
            self.send_response(302)
            self.send_header("Location", MOVED[mood])
            self.end_headers()
            return None
        body, start = BODY, 0
        if mood == "wrong":
            body = body[:5000] + bytes([body[5000] ^ 1]) + body[5001:]
        if mood == "long":
            body += b"more"
        if mood == "short":
            body = body[:-5]
        if span and "norange" not in mood:
            start = int(span.split("=")[1].split("-")[0])
            if start >= len(body):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(body) - 1, len(body)))
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        limit = STEP if mood in ("cut", "cutnorange", "stall") else len(body)
        self.wfile.write(body[start:start + limit])
        self.wfile.flush()
        if mood == "stall" and start + limit < len(body):
            time.sleep(8)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # the client hung up: that is the point
        pass


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
