"""The conversation of docs/peer-protocol.md, for peers written in Python."""

import json
import sys


def serve(about, make_search):
    """Answers until the conversation ends. make_search(start) gives an object with tell(trial) and ask(), which returns a candidate."""
    search = None
    for line in sys.stdin:
        message = json.loads(line)
        if "about" in message:
            answer({"about": about})
        elif "start" in message:
            search = make_search(message["start"])
        elif "tell" in message:
            search.tell(message["tell"])
        elif "ask" in message:
            answer({"candidate": int(search.ask())})
        elif "end" in message:
            break


def answer(message):
    print(json.dumps(message), flush=True)
