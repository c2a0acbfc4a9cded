#!/usr/bin/env bash
# Writes docs/results.md from what polythrottle-bench measures now. A few minutes on two cores.
#   tools/results.sh [SEEDS]      searches per cell, default 100
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-100}
cmake --preset release -DPOLYTHROTTLE_BENCH=ON >/dev/null
cmake --build --preset release --target polythrottle-bench
bench=build/release/bin/polythrottle-bench
out=docs/results.md
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
  tables=../shared/data/tables
  if [[ -d $tables ]]; then
    cat <<'TEXT'

## Recorded tables

`polythrottle-bench trials TABLE WORKLOAD 1.2x`: trials until the setting that the study would recommend is within 5 % (1 %) of the table's best
under the limit. The reference setting is trial 1; 30 seeds. *Violations*: trials over the limit before the 5 % were reached.

TEXT
    for entry in rtx5090_gpu_mem.csv:gemma4-31b-vllm-mtp-decode6-narr rtx5090_gpu_mem.csv:gemma4-31b-vllm-mtp-decode6-code \
      zeus_batch_power.csv:imagenet-resnet50-adadelta@v100 zeus_batch_power.csv:cifar100-shufflenetv2-adadelta@v100 \
      rtx3090_powercap.csv:rtx3090-qwen3.6-27b-decode1; do
      echo "**${entry#*:}** (${entry%%:*})"
      echo
      echo '```'
      "$bench" trials "$tables/${entry%%:*}" "${entry#*:}" 1.2x
      echo '```'
      echo
    done
  fi
} >"$out.new"
mv "$out.new" "$out"
echo "wrote $out"
