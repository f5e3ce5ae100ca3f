#!/usr/bin/env python3
"""Takes the tasks that a webhook of umbel posts, and acts on each of them once.

Whatever reaches this port may have been made by anybody, may have been recorded and sent again, and may
come from a run that the cluster has given up for lost and repeated elsewhere. So, in this order:

- X-Umbel-Signature must be the hexadecimal HMAC-SHA256 of X-Umbel-Timestamp, a dot and the body;
- the timestamp, which is signed, must be of the last five minutes;
- the token, which orders the runs of a task, must not be lower than one seen for the same id; both are
  taken from the body, because the other headers are not signed;
- what was done for an id is not done again: it is answered once more.

What each answer leads to: with 2xx the task has succeeded, and the body is its result. With 408, 425, 429
or 5xx it is tried again, after Retry-After if that is said. With anything else it has failed for good.

    HOOK_SECRET=... python3 receiver.py --port 8089 [--most 10 --within 1]

It needs Python 3.8 and nothing else. What it remembers is in memory only; a service of yours keeps id, token
and answer where it keeps what it does, and writes them in the same transaction.
"""

import argparse
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections import OrderedDict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AGE_MAX = 300  # seconds; more than the clocks of the two sides differ, less than a recording is of use
BODY_MAX = 2 * 1024 * 1024  # bytes; the arguments of a task take at most 1 MiB
KNOWN_MAX = 100_000  # tasks; those that were last heard of


class Refused(Exception):
    """A request that is not acted on, and what it is answered."""

    def __init__(self, status, why, headers=()):
        super().__init__(why)
        self.status = status
        self.headers = dict(headers)


class Receiver:
    """Decides about requests. Knows nothing of HTTP but its words for it."""

    def __init__(self, secret, act, most, within):
        self.secret = secret
        self.act = act
        self.most = most
        self.within = within
        self.lock = threading.Lock()
        self.known = OrderedDict()  # id -> (token, answer)
        self.acted = deque()  # when, those of the last `within` seconds

    def receive(self, headers, body):
        """The answer to a request: what the task comes to."""
        self.check(headers, body, time.time())
        try:
            task = json.loads(body)
            number, token = task["id"], tuple(int(part) for part in task["token"].split("."))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(400, f"not a task: {error}") from error
        # One at a time: two runs of one task must not both find that nothing was done yet.
        with self.lock:
            return self.once(number, token, task)

    def check(self, headers, body, now):
        timestamp = headers.get("X-Umbel-Timestamp", "")
        signed = timestamp.encode() + b"." + body
        expected = hmac.new(self.secret, signed, hashlib.sha256).hexdigest()
        given = headers.get("X-Umbel-Signature", "")
        # In the same time wherever they differ, so that nobody finds the right one by trying.
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise Refused(401, "the signature is not that of whoever knows the secret")
        if not timestamp.isdigit() or abs(now - int(timestamp)) > AGE_MAX:
            raise Refused(401, f"the timestamp is not of the last {AGE_MAX} seconds")

    def once(self, number, token, task):
        seen, answer = self.known.get(number, ((), None))
        if token < seen:
            raise Refused(409, "a later run of this task was here already")
        if answer is None:
            self.make_room(time.monotonic())
            answer = self.act(task)
        self.known[number] = (token, answer)
        self.known.move_to_end(number)
        if len(self.known) > KNOWN_MAX:
            self.known.popitem(last=False)
        return answer

    def make_room(self, now):
        """Refuses what would be more than `most` within the time."""
        if self.most is None:
            return
        while self.acted and now - self.acted[0] >= self.within:
            self.acted.popleft()
        if len(self.acted) >= self.most:
            wait = int(self.within - (now - self.acted[0])) + 1
            raise Refused(429, "busy", {"Retry-After": str(wait)})
        self.acted.append(now)


def send_invoice(task):
    """What the service is for. The result is what whoever submitted the task gets."""
    number = task["args"]["number"]
    print(f"invoice {number} is sent", flush=True)
    return {"sent": number}


class Handler(BaseHTTPRequestHandler):
    """HTTP around the receiver."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        try:
            status, answer, headers = 200, self.server.receiver.receive(self.headers, self.body()), {}
        except Refused as refused:
            status, answer, headers = refused.status, {"error": str(refused)}, refused.headers
        except Exception as error:  # whatever went wrong in here may go right the next time
            print(f"error: {error!r}", file=sys.stderr, flush=True)
            status, answer, headers = 500, {"error": "something went wrong in here"}, {}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_MAX:
            self.close_connection = True
            raise Refused(413, f"say the length of the body, at most {BODY_MAX}")
        return self.rfile.read(int(length))

    def log_message(self, format, *args):
        print(format % args, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description="takes tasks that umbel posts")
    parser.add_argument("--port", type=int, default=8089, help="0 is any free one")
    parser.add_argument("--most", type=int, help="act on so many tasks, unless said on any number,")
    parser.add_argument("--within", type=float, default=1.0, help="within so many seconds")
    args = parser.parse_args()
    secret = os.environ.get("HOOK_SECRET", "")
    if not secret:
        parser.error("HOOK_SECRET is not set: it has to be what the node signs with")
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    server.receiver = Receiver(secret.encode(), send_invoice, args.most, args.within)
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
