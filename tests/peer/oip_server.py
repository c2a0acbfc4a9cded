#!/usr/bin/python3
"""A small Open Inference Protocol server over HTTP for tests: an upstream that shares no code with ours.

Says its port on the first line of its output. Models: "add" (A and B FP32 [-1,3], Y = A + B), "types" (an input and output of every data
type, echoed), "slow" (like add, never answers before its client hangs up), "dying" (hangs up), "refusing" (400), "busy" (503),
"garbage" (no JSON), "short" (one row too few), "once" (like add, closes each connection after its answer without saying so).
"""
import json
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

BINARY = "--json-only" not in sys.argv
TYPES = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64, "INT8": np.int8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16, "BF16": np.uint16, "FP32": np.float32,
    "FP64": np.float64, "BYTES": None,
}
ADDERS = ["add", "slow", "dying", "refusing", "busy", "garbage", "short", "once"]


def metadata(model):
    if model == "types":
        kinds = list(TYPES) if BINARY else [t for t in TYPES if t not in ("FP16", "BF16")]
        return {"inputs": [{"name": "in_" + t, "datatype": t, "shape": [-1, 2]} for t in kinds],
                "outputs": [{"name": "out_" + t, "datatype": t, "shape": [-1, 2]} for t in kinds]}
    if model in ADDERS:
        return {"inputs": [{"name": n, "datatype": "FP32", "shape": [-1, 3]} for n in "AB"],
                "outputs": [{"name": "Y", "datatype": "FP32", "shape": [-1, 3]}]}
    return None


def strings(raw):
    found, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        found.append(raw[at + 4:at + 4 + length])
        at += 4 + length
    return found


def read(tensor, tail):
    """Elements of an input as (array or list of bytes), and what is left of the tail."""
    kind = TYPES[tensor["datatype"]]
    size = tensor.get("parameters", {}).get("binary_data_size")
    if size is None:
        if kind is None:
            return [t.encode() for t in tensor["data"]], tail
        return np.array(tensor["data"], dtype=kind).reshape(tensor["shape"]), tail
    raw, tail = tail[:size], tail[size:]
    assert len(raw) == size, "the body ends within a tensor"
    if kind is None:
        return strings(raw), tail
    return np.frombuffer(raw, dtype=kind).reshape(tensor["shape"]), tail


def write(name, datatype, shape, values, binary):
    """An output, and its bytes behind the JSON."""
    output = {"name": name, "datatype": datatype, "shape": list(shape)}
    if binary:
        raw = b"".join(struct.pack("<I", len(v)) + v for v in values) if TYPES[datatype] is None else values.tobytes()
        output["parameters"] = {"binary_data_size": len(raw)}
        return output, raw
    output["data"] = [v.decode() for v in values] if TYPES[datatype] is None else values.flatten().tolist()
    return output, b""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes

    def log_message(self, *_):
        pass

    def answer(self, status, document, tail=b""):
        head = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(head) + len(tail)))
        if tail:
            self.send_header("Inference-Header-Content-Length", str(len(head)))
        self.end_headers()
        self.wfile.write(head + tail)

    def do_GET(self):
        if self.path == "/v2":
            return self.answer(200, {"name": "peer", "version": "1", "extensions": ["binary_tensor_data"] if BINARY else []})
        model = self.path.split("/")[3]
        found = metadata(model)
        if found is None:
            return self.answer(404, {"error": "unknown model " + model})
        self.answer(200, {"name": model, "versions": ["1"], "platform": "peer", **found})

    def do_POST(self):
        model = self.path.split("/")[3]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if model == "slow":
            self.rfile.read(1)  # until the client hangs up
            self.close_connection = True
            return None
        if model == "dying":
            self.close_connection = True
            return None
        if model == "refusing":
            return self.answer(400, {"error": "shape is wrong"})
        if model == "busy":
            return self.answer(503, {"error": "too much to do"})
        if model == "garbage":
            return self.answer(200, ["no", "object"])
        head = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        document, tail = json.loads(body[:head]), body[head:]
        assert bool(tail) == BINARY
        inputs = {}
        for tensor in document["inputs"]:
            inputs[tensor["name"]], tail = read(tensor, tail)
        assert not tail, "bytes behind the last tensor"
        outputs, raw = [], b""
        binary = {o["name"]: o.get("parameters", {}).get("binary_data", False) for o in document["outputs"]}
        if model == "types":
            results = [("out_" + t["name"][3:], t["datatype"], t["shape"], inputs[t["name"]]) for t in document["inputs"]]
        else:
            total = inputs["A"] + inputs["B"]
            total = total[:-1] if model == "short" else total
            results = [("Y", "FP32", total.shape, total)]
        # In another order than asked.
        for name, datatype, shape, values in reversed(results):
            output, more = write(name, datatype, shape, values, binary[name])
            outputs.append(output)
            raw += more
        self.answer(200, {"model_name": model, "model_version": "1", "outputs": outputs}, raw)
        if model == "once":
            self.close_connection = True


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
