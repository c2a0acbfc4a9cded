#!/usr/bin/env python3
"""A small Open Inference Protocol server for tests of its clients, from the Python standard library alone.

server.py MODE: prints its port as its first line. MODE:
  plain        answers at once
  stall        answers; but from the 20th request on holds all answers for one second, once
  drop         every third request is answered with 503
  close        closes the connection behind every answer, without saying so
  refuse       answers 400 to every inference
  check        answers 400 with the reason unless the request is well formed
"""
import http.server
import json
import struct
import sys
import threading
import time

MODE = sys.argv[1]
LOCK = threading.Lock()
SEEN = 0
STALL_UNTIL = None
SIZES = {"FP32": 4, "INT64": 8, "BOOL": 1}
INPUTS = [{"name": "x", "datatype": "FP32", "shape": [-1, 3, 4]}, {"name": "mask", "datatype": "INT64", "shape": [-1, -1]}]
METADATA = {"name": "m", "versions": ["1"], "platform": "test", "inputs": INPUTS,
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}]}


def fault(headers, body):
    """What is wrong with a request, or None."""
    head = headers.get("Inference-Header-Content-Length")
    split = int(head) if head else len(body)
    request, tail = json.loads(body[:split]), body[split:]
    if [i["name"] for i in request["inputs"]] != ["x", "mask"]:
        return "inputs"
    for given, known in zip(request["inputs"], INPUTS):
        if given["datatype"] != known["datatype"] or len(given["shape"]) != len(known["shape"]):
            return "type or rank of " + given["name"]
        if any(k not in (-1, g) for g, k in zip(given["shape"], known["shape"])):
            return "shape of " + given["name"]
        count = 1
        for extent in given["shape"]:
            count *= extent
        if head:
            size = given["parameters"]["binary_data_size"]
            raw, tail = tail[:size], tail[size:]
            if size != count * SIZES[given["datatype"]] or len(raw) != size:
                return "bytes of " + given["name"]
            values = struct.unpack("<%d%s" % (count, "f" if given["datatype"] == "FP32" else "q"), raw)
        else:
            values = given["data"]
            if len(values) != count:
                return "elements of " + given["name"]
        if given["name"] == "mask" and any(v not in (0, 1) for v in values):
            return "a mask of 0 and 1"
    return "bytes at the end" if tail else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/v2":
            self.answer(200, {"name": "test", "version": "1", "extensions": ["binary_tensor_data"]})
        elif self.path == "/v2/models/m":
            self.answer(200, METADATA)
        else:
            self.answer(404, {"error": "no such model"})

    def do_POST(self):
        global SEEN, STALL_UNTIL
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with LOCK:
            SEEN += 1
            number = SEEN
            if MODE == "stall" and number == 20:
                STALL_UNTIL = time.monotonic() + 1.0
        if MODE == "stall" and number >= 20:
            time.sleep(max(0.0, STALL_UNTIL - time.monotonic()))
        if MODE == "refuse":
            return self.answer(400, {"error": "not today"})
        if MODE == "drop" and number % 3 == 0:
            return self.answer(503, {"error": "past its deadline by %d ms" % number})
        if MODE == "check":
            wrong = fault(self.headers, body)
            if wrong:
                return self.answer(400, {"error": wrong})
        self.answer(200, {"model_name": "m", "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [0.5]}]})
        if MODE == "close":
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
