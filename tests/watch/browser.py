"""A headless Chromium, spoken to over its debugging pipe (Chrome DevTools Protocol): JSON messages that end in a zero byte."""
import base64
import json
import os
import queue
import threading

import serving


class Browser:
    def __init__(self, server):
        chromium = serving.program("chromium", "chromium-browser", "google-chrome")
        to_it, mine = os.pipe()
        theirs, from_it = os.pipe()[::-1]
        home = server.folder + "/browser"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--hide-scrollbars", "--user-data-dir=" + home, "--remote-debugging-pipe", "about:blank"]
        # The pipe is descriptors 3 and 4 by definition.
        script = 'exec "$@" 3<&%d 4>&%d' % (to_it, theirs)
        with open(server.folder + "/browser.log", "w") as log:
            server.start("bash", "-c", script, "bash", chromium, *flags, pass_fds=(to_it, theirs), stdout=log, stderr=log,
                         env={**os.environ, "HOME": server.folder})
        os.close(to_it)
        os.close(theirs)
        self.out, self.messages, self.last, self.session = mine, queue.Queue(), 0, None
        self.events = []
        threading.Thread(target=self._read, args=(from_it,), daemon=True).start()
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(domain + ".enable")

    def _read(self, number):
        with os.fdopen(number, "rb") as pipe:
            rest = b""
            while True:
                part = pipe.read1(1 << 16)
                if not part:
                    break
                *whole, rest = (rest + part).split(b"\0")
                for message in whole:
                    self.messages.put(json.loads(message))

    def ask(self, method, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        while True:
            answer = self.messages.get(timeout=120)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError("%s: %s" % (method, answer["error"]))
                return answer["result"]
            self.events.append(answer)

    def value(self, script):
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError("%s: %s" % (script, result["exceptionDetails"]))
        return result["result"].get("value")

    def picture(self, path):
        # beyond the first screen, too
        picture = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))

    def complaints(self):
        """What stands in its console as an error or a warning, and exceptions."""
        out = []
        for event in self.events:
            about = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                out.append(str(about["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
                out.append(str(about["args"]))
            elif event["method"] == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
                out.append(about["entry"]["text"])
        return out

    def asked(self):
        return [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
