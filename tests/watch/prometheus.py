#!/usr/bin/python3
"""Has a real Prometheus scrape a running server, and asks it every question of the Grafana dashboard.

usage: prometheus.py POLYTHROTTLE DASHBOARD.json. Exit code 77: prometheus is not installed.
"""
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.parse

import serving

polythrottle, dashboard_path = sys.argv[1:3]
prometheus, promtool = serving.program("prometheus"), serving.program("promtool")
failures = []


def check(what, holds):
    print(("ok " if holds else "NOT OK ") + what, flush=True)
    if not holds:
        failures.append(what)


# Questions to which this server has no answer, and why.
EMPTY = {
    "changes(polythrottle_configuration_row": "an event only when the row has changed",
    "polythrottle_configuration_switches_total": "nothing until the first switch",
}


def queries(dashboard):
    for note in dashboard["annotations"]["list"]:
        if "expr" in note:
            yield note.get("name", "annotation"), note["expr"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


with serving.Serving(polythrottle) as server:
    for _ in range(3):
        server.drop_one()
    text = serving.fetch(server.url + "/metrics")
    checked = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True)
    check("promtool check metrics: " + (checked.stdout + checked.stderr).strip(), checked.returncode == 0)

    with open(server.folder + "/prometheus.yml", "w") as out:
        out.write("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: polythrottle\n  static_configs:\n  - targets: ['%s']\n" % server.address)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    with open(server.folder + "/prometheus.log", "w") as log:
        server.start(prometheus, "--config.file=" + server.folder + "/prometheus.yml", "--storage.tsdb.path=" + server.folder + "/tsdb",
                     "--web.listen-address=" + address, stdout=log, stderr=log)

    def ask(query):
        url = "http://%s/api/v1/query?%s" % (address, urllib.parse.urlencode({"query": query}))
        try:
            return json.loads(serving.fetch(url))
        except urllib.error.HTTPError as error:
            return json.loads(error.read())
        except OSError:
            return {}  # not there yet

    def samples(query):
        return ask(query).get("data", {}).get("result", [])

    # Rates need more than one scrape, and drops that came between two.
    def scraped():
        server.drop_one()
        found = samples("count_over_time(polythrottle_ready[1m])")
        return found and float(found[0]["value"][1]) >= 5

    serving.until("five scrapes", scraped)
    check("Prometheus reaches it", [r["value"][1] for r in samples("up")] == ["1"])
    with open(dashboard_path) as file:
        dashboard = json.load(file)
    asked = 0
    for title, template in queries(dashboard):
        query = template.replace("$instance", ".*").replace("$__rate_interval", "1m").replace("$__range", "1m")
        answer = ask(query)
        found = answer.get("data", {}).get("result", [])
        values = [r["value"][1] for r in found if r["value"][1] != "NaN"]
        reason = next((why for part, why in EMPTY.items() if part in query), None)
        said = "%d values, the first %s" % (len(values), values[0]) if values else "no value" + (": " + reason if reason else "")
        check("%s: %s: %s" % (title, query, said), answer.get("status") == "success" and bool(values or reason))
        asked += 1
    check("%d questions asked" % asked, asked >= 20)
sys.exit(1 if failures else 0)
