# A whole study against the kernel's own files.
settle
polythrottle probe >/tmp/out
note </tmp/out
missing=
for name in cpu_hz gpu_min_hz gpu_max_hz mem_hz cpu_cores cpu_quota_ratio; do
  grep -q "^  $name  [0-9]* levels" /tmp/out || missing="$missing $name"
done
for name in rapl ina3221; do grep -q "^  $name  measured" /tmp/out || missing="$missing $name"; done
[ -z "$missing" ]
verdict probe "all knobs and meters of the board${missing:+ but$missing}"

clock; begun=$NOW
tune --budget 8 --confirm 1 --csv /tmp/trials.csv >/tmp/out 2>/tmp/err
status=$?
clock
note </tmp/out
note </tmp/err
[ $status -eq 0 ]
verdict tune "exit code $status, $(grep -c completed /tmp/trials.csv) trials measured in $(((NOW - begun) / 100)) s of emulated time"
# 1.5 W for the board, 2 x 2.64 W for the CPUs, 10.44 W for the GPU, 2.13 W for memory, all at their highest clocks.
watts=$(sed -n 's/^power  *\([0-9.]*\) W.*/\1/p' /tmp/out)
[ "$watts" = 19.34 ]
verdict "the meter sees the clocks" "reference: $watts W, by the board's formula 19.34 W"
[ -z "$(find /sys/fs/cgroup -name '*polythrottle*')" ]
verdict "the CPU quota's control group" "is gone"
found "everything back after a study"
note </tmp/trials.csv
