#!/usr/bin/env bash
# Writes docs/results.md and its plots from what polythrottle-bench and polythrottle replay answer now. About an hour on two cores. Needs gnuplot and python3.
#   tools/results.sh [SEEDS]      searches per cell of the paper's experiment, default 100; the comparison has half as many
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-100}
cmake --preset release -DPOLYTHROTTLE_BENCH=ON >/dev/null
cmake --build --preset release --target polythrottle-bench
bench=build/release/bin/polythrottle-bench
out=docs/results.md
half=$((seeds / 2 > 0 ? seeds / 2 : 1))
few=$((seeds / 10 > 0 ? seeds / 10 : 1))
json=build/results
mkdir -p "$json"
tables=../shared/data/tables
measured=()
# NAME ARGUMENTS...: one JSON file; RESULTS_REUSE=1 keeps those that are there.
compare() {
  [[ -n ${RESULTS_REUSE:-} && -f $json/$1.json ]] || "$bench" optimizers "${@:2}" --json "$json/$1.json" >/dev/null
  measured+=("$json/$1.json")
}
if [[ -d $tables ]]; then
  compare tables --table $tables/rtx5090_gpu_mem.csv --table $tables/zeus_batch_power.csv --table $tables/rtx3090_powercap.csv \
    --slo 1.2x,1.5x,rel --seeds "$half" --methods polythrottle,polythrottle/bold,eic,gp,gp-max2,random
  if /usr/bin/python3 -c 'import optuna, sklearn' 2>/dev/null; then
    compare peers --table $tables/rtx5090_gpu_mem.csv --table $tables/zeus_batch_power.csv --table $tables/rtx3090_powercap.csv --slo 1.2x,rel \
      --seeds 3 --methods polythrottle,eic,gp --methods 'cmd:/usr/bin/python3 tools/peers/optuna_tpe.py' \
      --methods 'cmd:/usr/bin/python3 tools/peers/sklearn_gp.py'
  else
    echo "python3-optuna or python3-sklearn is not installed: peers are left out" >&2
  fi
else
  echo "no recorded tables at hand ($tables): that section is left out" >&2
fi
boards=(--device sim:jetson-orin --device sim:jetson-tx2 --space paper-7.2 --seeds "$half" --methods polythrottle,eic,gp,random)
compare tight "${boards[@]}" --knob batch=1 --slo 1.2x
compare relaxed "${boards[@]}" --slo relaxed72
compare paper --device sim:jetson-tx2 --space paper --slo 1.2x,relaxed72 --seeds "$few" --methods polythrottle,eic
compare phases --device sim:jetson-tx2 --model efficientnet-b4 --precision fp16 --space full --slo 1.2x --seeds 2 --cap 30 \
  --methods polythrottle,polythrottle/phases
compare warm --device sim:jetson-tx2 --space paper-7.2 --slo relaxed72 --seeds "$few" --methods polythrottle,polythrottle/warm,polythrottle/wrong
python3 tools/results_tables.py bars "${measured[@]}" >"$json/bars.dat"
gnuplot <<PLOT
set terminal svg noenhanced size 900,420 font 'sans-serif,12' background '#ffffff'
set output 'docs/results-trials.svg'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.85 border lt -1
set ylabel 'trials to within 5 % (mean)'
set yrange [0:*]
set grid ytics
set key top left
set xtics rotate by -20 scale 0
plot for [i=2:5] '$json/bars.dat' using i:xtic(1) title columnheader(i)
PLOT

{
  cat <<'TEXT'
# Results

Written by `tools/results.sh`; do not edit. Every figure on this page is of *simulated* boards or *recorded* tables, as said.

## The search experiment of the paper (figure 4) on the simulated boards

Trials until a setting within 5 % of the grid's best has been measured. The grid is highest GPU clock x memory clock (x batch), as section 7.2
of the paper measured it; `k` is the number of settings within 5 % on the noise-free truth. Each trial's energy carries 1.2 % and its latency
1.3 % of noise (standard deviation, log-normal: the medians that measured tables of a TX2 show). The search is told the limit, begins with 5
random settings and has no reference measurement, as in the paper. *Published* is read off figure 4; *1/share* is what the paper computes for
random search. Mean +- standard deviation over seeds.

TEXT
  echo "$seeds seeds per cell."
  echo
  "$bench" paper --seeds "$seeds"
  cat <<'TEXT'

## What the paper leaves open

Kernel, target, encoding and noise of the Gaussian processes are not stated in the paper. Each combination is run on all 32 cells; *mean
distance* is the mean of the four relative differences to the published means (given in brackets). `eic` is the nearest one.

TEXT
  echo "$((seeds / 5 > 0 ? seeds / 5 : 1)) seeds per cell."
  echo
  "$bench" paper --sweep --seeds "$((seeds / 5 > 0 ? seeds / 5 : 1))"
  cat <<'TEXT'

## Every way to search, compared

`polythrottle-bench optimizers`: recorded tables of machines that the physical prior was not made for, and the simulated boards. All judged on
the truth: the table's own value, or the board without noise. A trial adds noise: energy 2 % (boards 1 to 4 % by network), latency 1 %, and one trial
in 20 is disturbed unannounced (latency by 5 to 40 %, energy by part of it). Trial 1 is the reference for every method; `eic` and `gp` then take 5 random settings, `gp-max2`
2. *trials to 5 %*: until the setting that the method would recommend meets the SLO in truth and is within 5 % of the least energy that
does; *never* (25 trials on tables, 40 on boards) counts as one more. *over the SLO*: trials truly above it, before that and before the method's own stop (before the
5 % where it has none). *missed*: the recommendation at the own stop is not within 5 %, or none, or over the SLO (then its *regret* counts as
100 %). *measured* adds second looks to the trials. SLO `rel` is 1.1 x the latency of the least energy without any; `relaxed72` the paper's relaxed limit. The method's seed, and
with it the machines its prior is drawn from, differs in every search, so the errors (+- one standard error of the mean) hold the
prior's own randomness. `gp`: log targets, Matern-5/2, expected improvement on log scale, no knowledge of machines.

Seven numbers of `polythrottle` (weight of straight lines, medians of residual and nugget, the filter for one knob, two prices, how much more) were
chosen by looking at these tables and boards with 10 seeds, so they are no clean test of it; tables of other machines are.

`polythrottle/warm` knows a finished study of another workload of the family; `polythrottle/wrong` one of a machine that cannot be (everything
faster at lower clocks). `polythrottle/phases` searches as the paper does, the CPU clock first; it is compared on the full space of one network,
60,060 settings, with two seeds only: an indication. `optuna_tpe` (Optuna's multivariate TPE with constraints) and `sklearn_gp` (scikit-learn's Gaussian
process, log targets, log constrained expected improvement) are other people's programs, joined by [pipe](peer-protocol.md), with three seeds.

![trials to 5 %](results-trials.svg)

TEXT
  python3 tools/results_tables.py goals "${measured[@]}"
  python3 tools/results_tables.py tables "${measured[@]}"
} >"$out.new"
mv "$out.new" "$out"
cmake --build --preset release --target polythrottle
python3 tools/results_serving.py build/release/bin/polythrottle --seeds "$seeds"
echo "wrote $out"
