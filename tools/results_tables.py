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
    ("one knob (power cap)", "rtx3090_powercap.csv", None, 5, None),
]


def means(paths):
    """All rows, each with its number of seeds, and without means over a single family or SLO."""
    rows = []
    for path in paths:
        with open(path) as file:
            content = json.load(file)
        several_families = len({r["family"] for r in content["means"] if r["family"]}) > 1
        several_slos = len({r["slo"] for r in content["means"] if r["slo"]}) > 1
        for row in content["means"]:
            if (row["family"] or several_families) and (row["slo"] or several_slos):
                rows.append(row | {"seeds": content["run"]["seeds"]})
    return rows


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
    groups = list(dict.fromkeys((row["family"], row["slo"], row["seeds"]) for row in rows))
    for family, slo, seeds in groups:
        print(f"**{family or 'Mean of the families'}, {'SLO ' + slo if slo else 'mean over the SLOs'}, {seeds} seeds**\n")
        print("| method | trials to 5 % | p90 | never | to 1 % | over the SLO before | before the stop | any > 1.5x | "
              "regret after 5 / 10 / 25 | own stop: trials (measured) | missed | regret | ms |\n|" + "---|" * 13)
        for row in rows:
            if (row["family"], row["slo"], row["seeds"]) == (family, slo, seeds):
                print(line(row))
        print()


def goals(paths):
    rows = {}
    for r in means(paths):
        known = rows.setdefault((r["family"], r["slo"], r["method"]), r)
        if r["seeds"] > known["seeds"]:
            rows[(r["family"], r["slo"], r["method"])] = r
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
    search_goals(rows)


def search_goals(rows):
    """What else was wanted of every search: (name, limit, what to read)."""
    boards = [rows.get((family, slo, "polythrottle")) for _, family, slo, _, _ in TRIAL_GOALS[:4]]
    groups = {"boards, `--space paper-7.2`": [r for r in boards if r], "recorded tables": [r for r in [rows.get((None, None, "polythrottle"))] if r]}
    wanted = [
        ("trials over the SLO before the own stop", {"boards, `--space paper-7.2`": 0.3, "recorded tables": 0.7}, lambda r: r["violations_to_stop"]["mean"]),
        ("searches with a trial above 1.5 x SLO, %", 5, lambda r: 100 * r["share_with_trial_above_1.5_slo"]["mean"]),
        ("trials until the own stop", 8, lambda r: r["own_stop"]["trials_explored"]["mean"]),
        ("not within 5 % then, %", 10, lambda r: 100 * r["own_stop"]["missed_share"]["mean"]),
        ("regret then, %", 2, lambda r: 100 * r["own_stop"]["regret"]["mean"]),
    ]
    print("| goal of `polythrottle` | where | wanted: at most | measured | |\n|---|---|---|---|---|")
    for name, limit, read in wanted:
        for group, members in groups.items():
            if members:
                most = limit[group] if isinstance(limit, dict) else limit
                value = sum(read(r) for r in members) / len(members)
                print(f"| {name} | {group} | {most} | {value:.2f} | {'met' if round(value, 2) <= most else f'missed by {value - most:.2f}'} |")
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
