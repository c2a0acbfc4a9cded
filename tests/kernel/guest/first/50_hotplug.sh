# CPUs that come and go.
settle
put 0 $CPU/cpu1/online >/dev/null
look
FOUND=$SEEN
tune --budget 3 --confirm 0 >/tmp/out 2>/tmp/err
status=$?
note </tmp/err
[ $status -eq 0 ]
verdict "hotplug: cpu1 offline from the start" "exit code $status"
found "hotplug: cpu1 offline from the start: read back"

settle
tune --budget 4 --confirm 0 --knob cpu_cores=2,3 --knob cpu_quota_ratio=off --knob gpu_max_hz=off --knob gpu_min_hz=off --knob mem_hz=off --knob cpu_hz=off \
  --optimizer grid >/tmp/out 2>/tmp/err
status=$?
note </tmp/err
[ $status -eq 0 ] && grep -q 'cpu_cores=2 .*completed' /tmp/err
verdict "hotplug: cpu_cores as a knob" "exit code $status"
found "hotplug: cpu_cores as a knob: read back"

settle
start_moving --budget 12
put 0 $CPU/cpu1/online >/dev/null
wait $TUNER
status=$?
note </tmp/err
says=$(grep -c . /tmp/err)
put 1 $CPU/cpu1/online >/dev/null
say "note|cpu1 taken away in mid-study: exit code $status, $says lines; back online: $(differences)"
polythrottle restore >/tmp/out 2>&1
note </tmp/out
found "hotplug: cpu1 taken away in mid-study, back, restore"
