"""A running `polythrottle serve` on a simulated board, with requests coming and a job beside it."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

SKIPPED = 77


def skip(why):
    print("skipped: " + why)
    sys.exit(SKIPPED)


def program(*names):
    for name in names:
        if shutil.which(name):
            return shutil.which(name)
    skip("%s is not installed (scripts/setup full)" % names[0])


def fetch(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as answer:
        return answer.read().decode()


def until(what, condition, patience=120):
    """Asks again and again; `patience` bounds a test that would hang, it is no expectation of speed."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            sys.exit("NOT OK: waited %d s for %s" % (patience, what))
        time.sleep(0.2)


class Serving:
    def __init__(self, polythrottle):
        self.folder = tempfile.mkdtemp(prefix="polythrottle-watch.")
        os.chmod(self.folder, 0o711)
        self.polythrottle, self.processes = polythrottle, []

    def start(self, *command, **options):
        self.processes.append(subprocess.Popen(command, start_new_session=True, **options))
        return self.processes[-1]

    def __enter__(self):
        server = self.start(self.polythrottle, "serve", "efficientnet-b7", "--device", "sim:jetson-orin", "--slo", "700ms", "--config",
                            "load-adaptive", "--http", "127.0.0.1:0", "--grpc", "none", "--jobs", self.folder + "/jobs", "--log", "json",
                            stderr=subprocess.PIPE, text=True)
        for line in server.stderr:
            event = json.loads(line) if line.startswith("{") else {"event": line}
            if event["event"] == "serving":
                self.url = event["at"]
                break
        else:
            sys.exit("NOT OK: the server did not start")
        self.address = self.url.split("//")[1]
        self.model = self.url + "/v2/models/efficientnet-b7"
        self.start(self.polythrottle, "load", "--target", self.url, "--model", "efficientnet-b7", "--rate", "8", "--duration", "20min", "--quiet",
                   "--json", self.folder + "/load.json")
        fetch(self.url + "/v1/jobs", {"name": "sleeper", "kind": "signal", "command": ["/bin/sleep", "600"]})
        until("answers", lambda: json.loads(fetch(self.url + "/v1/snapshot"))["answered"] > 0)
        return self

    def drop_one(self):
        """A request that nobody can answer in time."""
        tensor = {"name": "INPUT", "shape": [1, 16], "datatype": "FP32", "data": [0] * 16}
        try:
            fetch(self.model + "/infer", {"parameters": {"timeout": 1}, "inputs": [tensor]})
        except urllib.error.HTTPError as error:
            error.read()

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
