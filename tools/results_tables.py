#!/usr/bin/python3
"""Markdown tables and gnuplot data from the JSON of `polythrottle-bench optimizers`.

    results_tables.py tables|goals JSON...     Markdown on stdout
    results_tables.py bars|regret JSON...      data for gnuplot on stdout
"""
import json
import sys

# Goals this project set itself: name, family, SLO (None: mean over SLOs), mean and 90th percentile of trials to 5 %.
TRIAL_GOALS = [
    ("Orin, batch 1, 1.2x", "sim:jetson-orin paper-7.2 batch=1", "1.2x", 3, 5),
    ("TX2, batch 1, 1.2x", "sim:jetson-tx2 paper-7.2 batch=1", "1.2x", 4, 6),
    ("Orin, all batches, relaxed", "sim:jetson-orin paper-7.2", "relaxed72", 5, 10),
    ("TX2, all batches, relaxed", "sim:jetson-tx2 paper-7.2", "relaxed72", 6, 11),
    ("TX2, `--space paper`, 1.2x", "sim:jetson-tx2 paper", "1.2x", 8, None),
    ("TX2, `--space paper`, relaxed", "sim:jetson-tx2 paper", "relaxed72", 10, None),
    ("recorded tables, mean of families", None, None, 4.5, 8),
    ("one knob (rtx3090_powercap)", "rtx3090_powercap.csv", None, 5, None),
]


def means(paths):
    return [row for path in paths for row in json.load(open(path))["means"]]


def cell(part, digits=1):
    if not part or part.get("mean") is None:
        return "-"
    error = part.get("std_error")
    return f"{part['mean']:.{digits}f}" + (f" +- {error:.{digits}f}" if error is not None else "")


def share(part):
    return "-" if not part or part.get("mean") is None else f"{100 * part['mean']:.0f} %"


def own_stop(stop):
    if not stop:
        return "- | - | -"
    return (f"{cell(stop['trials_explored'])} ({stop['trials_measured']['mean']:.1f}) | {share(stop['missed_share'])} | "
            f"{100 * stop['regret']['mean']:.1f} %")


def line(row):
    to5 = row["trials_to_5_percent"]
    regret = " / ".join(f"{100 * row['regret_after'][n]['mean']:.1f}" for n in ("5", "10", "25") if row["regret_after"].get(n))
    return (f"| {row['method']} | {cell(to5, 2)} | {to5['p90']:.0f} | {100 * to5['never_share']:.0f} % | "
            f"{row['trials_to_1_percent']['mean']:.1f} | {cell(row['violations_to_5_percent'], 2)} | "
            f"{cell(row['violations_to_stop'], 2)} | {share(row['share_with_trial_above_1.5_slo'])} | {regret} % | "
            f"{own_stop(row.get('own_stop'))} | {row['suggestion_milliseconds']['mean']:.1f} |")


def tables(paths):
    rows = means(paths)
    groups = list(dict.fromkeys((row["family"], row["slo"]) for row in rows))
    for family, slo in groups:
        print(f"**{family or 'Mean of the families'}, {'SLO ' + slo if slo else 'mean over the SLOs'}**\n")
        print("| method | trials to 5 % | p90 | never | to 1 % | over the SLO before | before the stop | any > 1.5x | "
              "regret after 5 / 10 / 25 | own stop: trials (measured) | missed | regret | ms |\n|" + "---|" * 13)
        for row in rows:
            if (row["family"], row["slo"]) == (family, slo):
                print(line(row))
        print()


def goals(paths):
    rows = {(r["family"], r["slo"], r["method"]): r for r in means(paths)}
    print("| goal | wanted: mean (p90) | polythrottle | eic | gp | |\n|---|---|---|---|---|---|")
    for name, family, slo, mean, p90 in TRIAL_GOALS:
        found = {m: rows.get((family, slo, m)) for m in ("polythrottle", "eic", "gp")}
        ours = found["polythrottle"]
        if not ours:
            print(f"| {name} | {mean} ({p90 or '-'}) | not run | | | |")
            continue
        value = ours["trials_to_5_percent"]
        met = value["mean"] <= mean and (p90 is None or value["p90"] <= p90)
        verdict = "met" if met else f"missed by {max(value['mean'] - mean, 0):.1f} ({max(value['p90'] - (p90 or value['p90']), 0):.0f})"
        text = {m: f"{cell(r['trials_to_5_percent'], 2)} ({r['trials_to_5_percent']['p90']:.0f})" if r else "-" for m, r in found.items()}
        print(f"| {name} | {mean} ({p90 or '-'}) | {text['polythrottle']} | {text['eic']} | {text['gp']} | {verdict} |")
    print()


def bars(paths):
    rows = means(paths)
    methods = ["polythrottle", "eic", "gp", "random"]
    print("problem " + " ".join(methods))
    for name, family, slo, _, _ in TRIAL_GOALS:
        values = []
        for m in methods:
            match = [r for r in rows if (r["family"], r["slo"], r["method"]) == (family, slo, m)]
            values.append(f"{match[0]['trials_to_5_percent']['mean']:.3f}" if match else "NaN")
        print(f'"{name.replace("`", "")}"', " ".join(values))


def regret(paths):
    rows = [r for r in means(paths) if r["family"] is None]
    print("trials " + " ".join(f'"{r["method"]}"' for r in rows))
    for n in ("5", "8", "10", "15", "25"):
        print(n, " ".join(f"{100 * r['regret_after'][n]['mean']:.3f}" for r in rows))


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("tables", "goals", "bars", "regret"):
        sys.exit(__doc__)
    {"tables": tables, "goals": goals, "bars": bars, "regret": regret}[sys.argv[1]](sys.argv[2:])
