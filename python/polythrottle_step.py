"""The job's side of PolyThrottle's step protocol, version 1. Python 3.6 or later, standard library only; copy this one file.

    import polythrottle_step

    with polythrottle_step.Steps(items=32, pieces=[32, 16, 8], steps=1000) as steps:
        for step in range(1000):
            optimizer.zero_grad()
            for items, last in steps.step():    # waits until so many samples may be computed
                forward_and_backward(items)     # gradients add up
                if last:
                    optimizer.step()            # is part of the last piece
                torch.cuda.synchronize()        # the work must really be done when the loop goes on

Outside of `polythrottle serve` (the environment variable POLYTHROTTLE_STEP_SOCKET is not set) everything is let at once, so that the same
program runs alone.
"""

import json
import os
import socket
import time

PROTOCOL = 1
VARIABLE = "POLYTHROTTLE_STEP_SOCKET"


class StepError(RuntimeError):
    """The server refused the plan, or has gone."""


class Steps:
    """What one optimizer step is, and the permits for its pieces. Used by one thread, in the process that made it.

    items: samples in a step. pieces: sizes in which it may be computed, descending, `items` first, each a divisor of it and a multiple of
    the last; None: `items` alone. steps: how many in all, None if that is not known. cost: macs, weights, activations, kernels of one
    sample, forward, backward and update (all four, or none).
    """

    def __init__(self, items=1, pieces=None, steps=None, cost=None):
        self._items = items
        self._socket = None
        path = os.environ.get(VARIABLE)
        if not path:
            return
        self._owner = os.getpid()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise StepError("connect to %s: %s" % (path, error)) from error
        self._lines = self._socket.makefile("r", encoding="utf-8")
        hello = {"protocol": PROTOCOL, "items": items, "pieces": list(pieces or [items])}
        if steps is not None:
            hello["steps"] = steps
        hello.update(cost or {})
        self._say(hello)

    @property
    def governed(self):
        """Is there a server that lets us?"""
        return self._socket is not None

    def wait(self, left):
        """Waits until some of the `left` samples of this step may be computed; how many: one of the pieces."""
        if not self.governed:
            return left
        self._say({"want": left})
        try:
            line = self._lines.readline()
        except OSError as error:
            raise StepError("polythrottle has closed the connection") from error
        try:
            items = json.loads(line)["run"]
        except (ValueError, KeyError, TypeError):
            raise StepError("polythrottle answered %s" % (line.strip() or "nothing: it has closed the connection")) from None
        self._begun = time.monotonic()
        return items

    def done(self, items):
        """They are computed."""
        if self.governed:
            self._say({"done": items, "seconds": round(time.monotonic() - self._begun, 6)})

    def step(self):
        """One optimizer step: yields (samples to compute now, is it the last piece), and reports each piece when it is asked for more."""
        left = self._items
        while left > 0:
            items = self.wait(left)
            left -= items
            yield items, left == 0
            self.done(items)

    def end(self):
        """There is nothing more to wait for; what comes now (saving, evaluating) is not scheduled."""
        if self.governed:
            self._say({"end": True})
        self.close()

    def close(self):
        if self.governed:
            self._lines.close()
            self._socket.close()
            self._socket = None

    def _say(self, message):
        if os.getpid() != self._owner:
            raise StepError("Steps is used by a child of the process that made it")
        try:
            self._socket.sendall((json.dumps(message) + "\n").encode())
        except OSError as error:
            raise StepError("polythrottle has closed the connection%s" % self._last_words()) from error

    def _last_words(self):
        try:
            line = self._lines.readline().strip()
        except OSError:
            line = ""
        return ": " + line if line else ""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.end()
        else:
            self.close()
