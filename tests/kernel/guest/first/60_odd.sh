# Machines that are found in an odd state.
settle
put 345600 $POLICY0/scaling_min_freq >/dev/null
put 806400 $POLICY0/scaling_max_freq >/dev/null
put 1190400 $POLICY0/scaling_min_freq >/dev/null # hidden behind the ceiling
put 306000000 $GPU/max_freq >/dev/null
put 918000000 $GPU/min_freq >/dev/null # hidden as well
look
FOUND=$SEEN
tune --budget 4 --confirm 0 >/tmp/out 2>/tmp/err
status=$?
note </tmp/err
[ $status -eq 0 ]
verdict "floors hidden behind ceilings" "exit code $status"
found "floors hidden behind ceilings: read back"

settle
put 200000000 $GPU/max_freq >/dev/null # in no table
put 200000000 $GPU/min_freq >/dev/null
put 1 $EMC/mrq_rate_locked >/dev/null
put 665600000 $EMC/rate >/dev/null
look
FOUND=$SEEN
tune --budget 4 --confirm 0 >/tmp/out 2>/tmp/err
status=$?
note </tmp/err
[ $status -eq 0 ]
verdict "limits found off their table, memory held" "exit code $status"
found "limits found off their table, memory held: read back"

settle
mount -o remount,ro /sys
polythrottle probe >/tmp/out 2>&1
status=$?
[ $status -eq 0 ] && grep -q 'mounted read-only' /tmp/out
verdict "read-only /sys" "probe names the cause: $(grep -m 1 -B 1 'mounted read-only' /tmp/out | tr '\n' ' ')"
mount -o remount,rw /sys
su nobody -c 'polythrottle probe' >/tmp/out 2>&1
status=$?
[ $status -eq 0 ] && grep -q 'run as root' /tmp/out
verdict "not root" "probe says what helps: $(grep -m 1 'run as root' /tmp/out)"
