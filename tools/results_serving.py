#!/usr/bin/env python3
"""Writes the section "Fine-tuning beside inference" of docs/results.md, and its plot, from what `polythrottle replay` answers now.

  tools/results_serving.py PROGRAM [--seeds N] [--traces FOLDER] [--page docs/results.md]

Stands between the markers serving:begin and serving:end; the rest of the page stays. Two replays at a time.
"""
import argparse
import json
import pathlib
import subprocess
from concurrent.futures import ThreadPoolExecutor

# Published in arXiv 2310.19991, tables 5 and 6 (violations in per cent), and section 8.4 (energy).
BOARDS = {
    "Orin, B7": dict(
        device="sim:jetson-orin@1.25x", model="efficientnet-b7", slo="700ms", rate=8,
        job="batch=64,iterations=10,outputs=1000,train=head", pieces="64/32/16/8/4", energy=-14, horizon="60s",
        published={"uniform": (0.4, 37.91, 2.08), "poisson": (1.67, 60.41, 5.42), "Twitter": (3.8, 22.0, 5.8)}),
    "TX2, B4": dict(
        device="sim:jetson-tx2@4.23x", model="efficientnet-b4", slo="1s", rate=4,
        job="batch=8,iterations=10,outputs=100,train=head", pieces="8/4/2", energy=-23, horizon="30s",
        published={"uniform": (1.0, 16.0, 5.5), "poisson": (3.5, 35.4, 7.4), "Twitter": (5.3, 35.0, 7.5)}),
}
POLICIES = ("inference-only", "greedy", "paper", "adaptive")
TRACES = {"conversation": "azure_llm_conv_2023.csv", "code": "azure_llm_code_2023.csv"}


def replay(program, board, policy, extra):
    predictor = "published" if policy == "paper" else "physical"
    command = [program, "replay", "--device", board["device"], "--model", board["model"], "--slo", board["slo"], "--rate",
               str(board["rate"]), "--policy", policy, "--predictor", predictor, "--quiet", "--json", "-"] + extra
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(" ".join(command) + "\n" + done.stderr)
    return json.loads(done.stdout)


def percent(run, key="violations_ratio"):
    width = run["spread"].get(key, {}).get("half_width_95")
    return f"{100 * run[key]:.2f}" + (f" ± {100 * width:.2f}" if width else "")


def number(run, key, digits):
    if run.get(key) is None:
        return "–"
    width = run["spread"].get(key, {}).get("half_width_95")
    text = f"{run[key]:.{digits}f}" + (f" ± {width:.{digits}f}" if width else "")
    runs = run["spread"].get(key, {}).get("runs", run["seeds"])
    return text if runs == run["seeds"] else f"{text} ({runs} of {run['seeds']})"


def cells(program, seeds, traces, pool):
    asked = {}
    for name, board in BOARDS.items():
        kinds = {"uniform": "uniform", "poisson": "poisson"}
        if traces:
            kinds |= {f"{kind} (substitute)": f"{traces / file}#bursty" for kind, file in TRACES.items()}
        for kind, arrivals in kinds.items():
            for policy in POLICIES:
                extra = ["--arrivals", arrivals, "--duration", "30s", "--seeds", str(seeds), "--finetune",
                         f"{board['job']},pieces={board['pieces']}"]
                asked[name, kind, policy] = pool.submit(replay, program, board, policy, extra)
    return {key: future.result() for key, future in asked.items()}


def verdict(good):
    return "met" if good else "**missed**"


def table(runs):
    out = ["| cell | policy | published % | violations % | drops % | job s | over the bound | energy, 30 s, J |", "|---|---|--:|--:|--:|--:|--:|--:|"]
    for (name, kind, policy), run in runs.items():
        column = {"inference-only": 0, "greedy": 1, "paper": 2}.get(policy)
        source = BOARDS[name]["published"].get(kind)
        if "substitute" in kind:
            source = BOARDS[name]["published"]["Twitter"]
        published = f"{source[column]:g}" + (" (Twitter)" if "substitute" in kind else "") if column is not None and source else "–"
        out.append(f"| {name}, {kind} | {policy} | {published} | {percent(run)} | {percent(run, 'drops_ratio')} | "
                   f"{number(run, 'job_seconds', 1)} | {number(run, 'job_over_bound_ratio', 2)} | {number(run, 'energy_joules', 0)} |")
    return out


def goals(runs):
    out = ["| cell | order of the policies | greedy within 15 | paper within 4 | inference-only within 2 | adaptive at most 1 more than inference-only | "
           "adaptive's job at most 1.15 x bound | its job over greedy's |", "|---|---|---|---|---|---|---|--:|"]
    for name, kind in dict.fromkeys((key[0], key[1]) for key in runs):
        share = {policy: 100 * runs[name, kind, policy]["violations_ratio"] for policy in POLICIES}
        ordered = share["inference-only"] < share["paper"] < share["greedy"]
        source = BOARDS[name]["published"].get(kind)
        near = ["–"] * 3
        if source:
            off = [share["greedy"] - source[1], share["paper"] - source[2], share["inference-only"] - source[0]]
            near = [f"{verdict(abs(d) <= limit)} ({d:+.1f})" for d, limit in zip(off, (15, 4, 2))]
        more = share["adaptive"] - share["inference-only"]
        ours = runs[name, kind, "adaptive"]
        ratio, greedy = ours.get("job_over_bound_ratio"), runs[name, kind, "greedy"].get("job_seconds")
        out.append(f"| {name}, {kind} | {verdict(ordered)} | {' | '.join(near)} | {verdict(more <= 1)} ({more:+.2f}) | "
                   f"{verdict(ratio is not None and ratio <= 1.15)} ({ratio:.2f}) | {ours['job_seconds'] / greedy:.2f} |")
    return out


def energy(program, seeds, pool):
    asked = {}
    for name, board in BOARDS.items():
        for kind in ("uniform", "poisson"):
            for config in ("reference", "tuned"):
                extra = ["--arrivals", kind, "--duration", board["horizon"], "--seeds", str(seeds), "--finetune",
                         f"{board['job']},pieces={board['pieces']}", "--config", config]
                asked[name, kind, config] = pool.submit(replay, program, board, "paper", extra)
    runs = {key: future.result() for key, future in asked.items()}
    out = ["| cell | default clocks J | tuned clocks J | saved % | published % | job s, default | job s, tuned |", "|---|--:|--:|--:|--:|--:|--:|"]
    for name, kind in dict.fromkeys((key[0], key[1]) for key in runs):
        default, tuned = runs[name, kind, "reference"], runs[name, kind, "tuned"]
        saved = 100 * (1 - tuned["energy_joules"] / default["energy_joules"])
        out.append(f"| {name}, {kind}, {BOARDS[name]['horizon']} | {number(default, 'energy_joules', 0)} | {number(tuned, 'energy_joules', 0)} | {saved:.1f} | "
                   f"{-BOARDS[name]['energy']} | {number(default, 'job_seconds', 1)} | {number(tuned, 'job_seconds', 1)} |")
    return out


def step_of_slo(program, page):
    """Figure 9: an SLO of 250 ms for 30 s, then of 700 ms."""
    lines = []
    for policy in ("paper", "adaptive"):
        board = dict(BOARDS["Orin, B7"], device="sim:jetson-orin@2x", slo="250ms,700ms@30s", rate=3)
        plot = page.parent / f"results-slo-step-{policy}.svg"
        rows = page.parent / "slo-step.csv"
        extra = ["--arrivals", "uniform", "--duration", "60s", "--config", "gpu_max_hz=726750000,mem_hz=2133000000,batch=16", "--finetune",
                 "batch=64,iterations=9,outputs=1000,train=head,pieces=64/32/16/8/4"]
        replay(program, board, policy, extra + ["--timeline", str(plot)])
        replay(program, board, policy, extra + ["--timeline", str(rows)])
        starts = [line.split(",") for line in rows.read_text().splitlines() if line.startswith("step,")]
        rows.unlink()
        before = sum(float(step[1]) < 30 for step in starts)
        half = [step for step in starts if 30 <= float(step[1]) < 60]
        items = sum(int(step[4]) for step in half)
        lines.append(f"`{policy}`: {before} steps begin before 30 s; {len(half)} between 30 and 60 s, of {items} items together, the first at "
                     f"{float(half[0][1]):.1f} s." if half else f"`{policy}`: {before} steps begin before 30 s, and none between 30 and 60 s.")
        lines.append("")
        lines.append(f"![SLO step, {policy}]({plot.name})")
        lines.append("")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--traces", type=pathlib.Path, default=pathlib.Path("../shared/data/arrivals"))
    parser.add_argument("--page", type=pathlib.Path, default=pathlib.Path("docs/results.md"))
    args = parser.parse_args()
    traces = args.traces if args.traces.is_dir() else None
    if traces is None:
        print(f"no arrival traces at hand ({args.traces}): those cells are left out")
    intro = (pathlib.Path(__file__).parent / "results_serving.md").read_text()
    with ThreadPoolExecutor(2) as pool:
        runs = cells(args.program, args.seeds, traces, pool)
        saved = energy(args.program, args.seeds, pool)
    parts = {"TABLE": table(runs), "GOALS": goals(runs), "ENERGY": saved, "STEP": step_of_slo(args.program, args.page), "SEEDS": [str(args.seeds)]}
    for key, lines in parts.items():
        intro = intro.replace("{{" + key + "}}", "\n".join(lines).rstrip())
    begin, end = "<!-- serving:begin -->", "<!-- serving:end -->"
    page = args.page.read_text()
    if begin not in page:
        page = page.rstrip() + f"\n\n{begin}\n{end}\n"
    before, rest = page.split(begin)
    after = rest.split(end)[1]
    args.page.write_text(before + begin + "\n\n" + intro.strip() + "\n\n" + end + after)
    print(f"wrote {args.page}")


if __name__ == "__main__":
    main()
