#!/usr/bin/python3
"""Calls everything of an Open Inference Protocol server over gRPC and checks the answers: a client that shares no code with ours.

usage: oip_client.py PROTO FOLDER ADDRESS. Classes are generated from PROTO into FOLDER. The server is the tests' fake one: "types" echoes
an input of every data type, "vector" one FP32 [4]. Each line of the output is a check; the exit code is 1 at the first that fails.
"""
import os
import struct
import sys

import grpc
import numpy as np
from grpc_tools import protoc

proto, folder, address = sys.argv[1:4]
code = protoc.main(["protoc", "--proto_path=" + os.path.dirname(proto), "--python_out=" + folder, "--grpc_python_out=" + folder, proto])
if code != 0:
    sys.exit("protoc failed")
sys.path.insert(0, folder)
import open_inference_pb2 as oip  # noqa: E402
import open_inference_pb2_grpc as calls  # noqa: E402

stub = calls.GRPCInferenceServiceStub(grpc.insecure_channel(address))
WAIT = 60  # seconds; a call that takes as long has failed


def check(what, holds):
    print(("ok " if holds else "NOT OK ") + what, flush=True)
    if not holds:
        sys.exit(1)


def refused(what, code, words, call, request):
    try:
        call(request, timeout=WAIT)
    except grpc.RpcError as error:
        check("%s: %s, %s" % (what, error.code().name, error.details()), error.code() == code and words in error.details())
        return
    check(what + " is refused", False)


Code = grpc.StatusCode
check("live", stub.ServerLive(oip.ServerLiveRequest(), timeout=WAIT).live)
check("ready", stub.ServerReady(oip.ServerReadyRequest(), timeout=WAIT).ready)
check("model ready", stub.ModelReady(oip.ModelReadyRequest(name="types", version="7"), timeout=WAIT).ready)
server = stub.ServerMetadata(oip.ServerMetadataRequest(), timeout=WAIT)
check("server metadata", server.name == "polythrottle" and server.version == "1.2.3" and "statistics" in server.extensions)

model = stub.ModelMetadata(oip.ModelMetadataRequest(name="types"), timeout=WAIT)
kinds = [tensor.datatype for tensor in model.inputs]
check("model metadata", model.name == "types" and list(model.versions) == ["7"] and list(model.inputs[0].shape) == [-1, 2])
check("14 data types", sorted(kinds) == sorted("BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 BF16 FP32 FP64 BYTES".split()))
refused("metadata of no model", Code.NOT_FOUND, "no model 'x'", stub.ModelMetadata, oip.ModelMetadataRequest(name="x"))

# Inference: every type as bytes and, where there is a list for it, as numbers; a batch of 3.
LISTS = {
    "BOOL": ("bool_contents", np.bool_), "INT8": ("int_contents", np.int8), "INT16": ("int_contents", np.int16),
    "INT32": ("int_contents", np.int32), "INT64": ("int64_contents", np.int64), "UINT8": ("uint_contents", np.uint8),
    "UINT16": ("uint_contents", np.uint16), "UINT32": ("uint_contents", np.uint32), "UINT64": ("uint64_contents", np.uint64),
    "FP32": ("fp32_contents", np.float32), "FP64": ("fp64_contents", np.float64),
}
RAW = dict({kind: row[1] for kind, row in LISTS.items()}, FP16=np.float16, BF16=np.uint16)
random = np.random.default_rng(7)


def some(kind):
    """Six elements and their bytes."""
    if kind == "BYTES":
        words = [b"", b"a", b"\xff\x00b", b"some words", b"", b"c"]
        return words, b"".join(struct.pack("<I", len(word)) + word for word in words)
    dtype = np.dtype(RAW[kind])
    if dtype == np.bool_:
        values = random.integers(0, 2, 6).astype(np.bool_)
    elif dtype.kind in "iu" and kind != "BF16":
        values = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1, 2, 3], dtype)
    else:
        values = random.integers(0, 255, 6).astype(dtype)
    return values, values.tobytes()


data = {tensor.name: (tensor.datatype,) + some(tensor.datatype) for tensor in model.inputs}
request = oip.ModelInferRequest(model_name="types", id="raw")
for name, (kind, _, raw) in reversed(list(data.items())):  # in another order than the model's
    request.inputs.add(name=name, datatype=kind, shape=[3, 2])
    request.raw_input_contents.append(raw)
answer = stub.ModelInfer(request, timeout=WAIT)
check("raw: id, model, version", (answer.id, answer.model_name, answer.model_version) == ("raw", "types", "7"))
check("raw: all outputs", len(answer.outputs) == 14 and len(answer.raw_output_contents) == 14)
for output, raw in zip(answer.outputs, answer.raw_output_contents):
    sent = data["in_" + output.name[4:]]
    check("raw: " + output.datatype, output.datatype == sent[0] and list(output.shape) == [3, 2] and raw == sent[2])

request = oip.ModelInferRequest(model_name="types", id="typed")
for name, (kind, values, raw) in data.items():
    tensor = request.inputs.add(name=name, datatype=kind, shape=[3, 2])
    if kind == "BYTES":
        tensor.contents.bytes_contents.extend(values)
    elif kind in LISTS:
        getattr(tensor.contents, LISTS[kind][0]).extend(values.tolist())
refused("16-bit floats as numbers", Code.INVALID_ARGUMENT, "raw_input_contents", stub.ModelInfer, request)

refused("one element too few", Code.INVALID_ARGUMENT, "expected 4 elements for FP32 [4], got 3", stub.ModelInfer, oip.ModelInferRequest(
    model_name="vector", inputs=[dict(name="x", datatype="FP32", shape=[4], contents=dict(fp32_contents=[1, 2, 3]))]))
answer = stub.ModelInfer(oip.ModelInferRequest(
    model_name="vector", inputs=[dict(name="x", datatype="FP32", shape=[4], contents=dict(fp32_contents=[1, 2, 3, 4]))],
    outputs=[dict(name="y")], parameters={"timeout": oip.InferParameter(int64_param=5000000)}), timeout=WAIT)
check("typed: FP32", np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [1, 2, 3, 4])


def vector(shape=(4,), name="x", kind="FP32", size=16, model="vector", **more):
    return oip.ModelInferRequest(model_name=model, inputs=[dict(name=name, datatype=kind, shape=list(shape))], raw_input_contents=[b"\0" * size],
                                 **more)


refused("no such model", Code.NOT_FOUND, "no model 'x'", stub.ModelInfer, vector(model="x"))
refused("wrong shape", Code.INVALID_ARGUMENT, "expected FP32 [4], got FP32 [5]", stub.ModelInfer, vector(shape=[5]))
refused("wrong type", Code.INVALID_ARGUMENT, "expected FP32 [4], got INT64 [4]", stub.ModelInfer, vector(kind="INT64"))
refused("no type", Code.INVALID_ARGUMENT, "unknown datatype 'FP7'", stub.ModelInfer, vector(kind="FP7"))
refused("wrong name", Code.INVALID_ARGUMENT, "unknown input 'z'", stub.ModelInfer, vector(name="z"))
refused("wrong size", Code.INVALID_ARGUMENT, "expected 16 bytes for FP32 [4], got 15", stub.ModelInfer, vector(size=15))
refused("no such output", Code.INVALID_ARGUMENT, "unknown output 'z'", stub.ModelInfer, vector(outputs=[dict(name="z")]))
refused("too large", Code.RESOURCE_EXHAUSTED, "larger than max", stub.ModelInfer, vector(size=1 << 20))

# Statistics and repository.
numbers = stub.ModelStatistics(oip.ModelStatisticsRequest(name="vector"), timeout=WAIT).model_stats
check("statistics", len(numbers) == 1 and numbers[0].inference_count == 10 and numbers[0].inference_stats.queue.ns == 300)
listed = stub.RepositoryIndex(oip.RepositoryIndexRequest(), timeout=WAIT).models
check("repository", [(m.name, m.state) for m in listed] == [("types", "READY"), ("vector", "READY"), ("gone", "UNAVAILABLE")])
stub.RepositoryModelLoad(oip.RepositoryModelLoadRequest(model_name="vector"), timeout=WAIT)
refused("load of no model", Code.NOT_FOUND, "no such model", stub.RepositoryModelLoad, oip.RepositoryModelLoadRequest(model_name="x"))
stub.RepositoryModelUnload(oip.RepositoryModelUnloadRequest(model_name="vector"), timeout=WAIT)
refused("unload of one in use", Code.FAILED_PRECONDITION, "in use", stub.RepositoryModelUnload, oip.RepositoryModelUnloadRequest(model_name="types"))

# What Triton has beyond it, and what is no message at all.
channel = grpc.insecure_channel(address)
raw_call = channel.unary_unary("/inference.GRPCInferenceService/ModelConfig")
refused("model configuration", Code.UNIMPLEMENTED, "", raw_call, b"\x0a\x05types")
garbage = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
# gRPC's callback interface answers so by itself for what it cannot parse.
refused("garbage", Code.UNIMPLEMENTED, "", garbage, b"\xff\xff\xff\xff")
check("still live", stub.ServerLive(oip.ServerLiveRequest(), timeout=WAIT).live)
