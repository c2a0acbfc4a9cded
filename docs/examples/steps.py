#!/usr/bin/env python3
# A program that polythrottle talks to (docs/command.md): tune --command 'python3 steps.py' --read steps --knob batch=1,2,4 ...
import json, select, sys, time


def say(**answer):
    print(json.dumps(answer), flush=True)


batch = 1
for line in sys.stdin:
    told = json.loads(line)
    if "polythrottle" in told:
        say(polythrottle=1)  # the network is loaded by now
    elif "configure" in told:
        batch = told["configure"]["batch"]
        say(configured=True)  # or say(refused="why")
    elif "begin" in told:
        while not select.select([sys.stdin], [], [], 0)[0]:  # until it is told something: that the window ends
            began = time.monotonic()
            time.sleep(0.001 * (1 + batch))  # here it would infer
            say(latency_seconds=time.monotonic() - began, inferences=batch)
        sys.stdin.readline()
        say(ended=told["begin"])
