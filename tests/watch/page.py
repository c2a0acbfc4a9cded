#!/usr/bin/python3
"""Opens the live page of a running server in a real browser, as wide as a phone and as a desk's screen.

usage: page.py POLYTHROTTLE [FOLDER for pictures]. Exit code 77: no browser is installed.
"""
import sys

import browser
import serving

failures = []


def check(what, holds):
    print(("ok " if holds else "NOT OK ") + what, flush=True)
    if not holds:
        failures.append(what)


TILE = "[...document.querySelectorAll('.tile')].find(t => t.querySelector('dt').textContent === '%s').querySelector('.big').textContent"

serving.program("chromium", "chromium-browser", "google-chrome")
with serving.Serving(sys.argv[1]) as server:
    page = browser.Browser(server)
    for width, height in ((390, 844), (1280, 900)):
        at = "%d px: " % width
        page.events.clear()
        page.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        page.ask("Page.navigate", url=server.url + "/")
        serving.until("numbers on the page", lambda: page.value("document.querySelectorAll('.tile').length") == 7)
        check(at + "says that it is ready", serving.until("ready", lambda: page.value("document.getElementById('state').textContent") == "ready"))
        for tile, unit in (("Power", "W"), ("p99 latency", "s"), ("Requests", "/s"), ("In time", "%"), ("Energy per request", "J"), ("Temperature", "C")):
            text = serving.until(tile, lambda: (lambda said: said if any(c.isdigit() for c in said) else None)(page.value(TILE % tile)))
            check(at + "%s: %s" % (tile, text), text.endswith(unit))
        check(at + "the configuration: " + page.value(TILE % "Configuration"), "gpu_max_hz" in page.value(TILE % "Configuration"))
        before = page.value("document.getElementById('tiles').innerText")
        check(at + "numbers change", serving.until("a change", lambda: page.value("document.getElementById('tiles').innerText") != before))
        text = page.value("document.body.innerText")
        for word in ("sleeper", "simulated", "VDD_GPU_SOC", "efficientnet-b7", "gpu_max_hz", "adaptive"):
            check(at + "'%s' stands on it" % word, word in text)
        for word in ("undefined", "NaN", "[object", "Infinity"):
            check(at + "no '%s' on it" % word, word not in text)
        # A curve is drawn: pixels that are not background, in each plot.
        drawn = serving.until("curves", lambda: page.value(
            "points.length > 5 && [...document.querySelectorAll('canvas')].every(c => "
            "new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size > 3)"))
        check(at + "the plots are drawn", drawn)
        across = page.value("[document.documentElement.scrollWidth, innerWidth]")
        check(at + "nothing is wider than the screen: %s" % across, across[0] <= across[1] == width)
        cut = page.value("[...document.querySelectorAll('.scroll')].filter(t => t.scrollWidth > t.clientWidth).map(t => t.innerText.slice(0, 40))")
        check(at + "no table is cut off: %s" % cut, not cut)
        check(at + "no complaints in the console: %s" % page.complaints(), not page.complaints())
        foreign = [url for url in page.asked() if not url.startswith((server.url + "/", "data:"))]
        check(at + "nothing is asked of other hosts: %s" % foreign, not foreign and page.asked())
        if len(sys.argv) > 2:
            page.picture("%s/page-%d.png" % (sys.argv[2], width))
sys.exit(1 if failures else 0)
