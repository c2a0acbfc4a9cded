# Killed in every way.
no_watchdog() { [ -z "$(watchdog)" ]; }

# What killall and pkill do: all processes of that name.
kill_all_tuners() {
  for process in /proc/[0-9]*; do
    { read -r name <"$process/comm"; } 2>/dev/null && [ "$name" = polythrottle ] && kill -9 ${process#/proc/}
  done
}
for killer in "kill -9" kill_all_tuners; do
  settle
  start_moving
  moved=$(differences)
  clock; begun=$NOW
  $killer $TUNER
  waits 60 is_found
  back=$?
  clock
  took=$(((NOW - begun) * 10))
  [ $back -eq 0 ]
  # A second of a board is not one of a CPU that is emulated on a machine with other things to do: the time is told, not judged.
  verdict "watchdog after $killer" "back $took ms after the kill$([ $took -le 1000 ] || echo ' (more than a second: the host was busy?)'); moved was: $moved"
  wait $TUNER
  waits 60 no_watchdog && [ ! -e $RECORD ]
  verdict "watchdog after $killer: nothing left" "record and watchdog are gone"
  note </tmp/err
done

settle
start_moving
guard=$(watchdog)
kill -9 $guard $TUNER
wait $TUNER
usleep 3000000
is_moved && [ -e $RECORD ]
verdict "both killed" "the machine stays moved, the record too: $(differences)"
polythrottle restore >/tmp/out 2>&1
status=$?
note </tmp/out
[ $status -eq 0 ] && [ ! -e $RECORD ]
verdict "both killed, restore" "exit code $status"
found "both killed, restore: read back"

settle
start_moving --budget 6
guard=$(watchdog)
kill -9 $guard
another() { local now=$(watchdog); [ -n "$now" ] && [ "$now" != "$guard" ]; }
waits 120 another
verdict "watchdog killed" "the study starts another before it writes again"
wait $TUNER
status=$?
[ $status -eq 0 ]
verdict "watchdog killed: the study ends well" "exit code $status"
found "watchdog killed: read back"
note </tmp/err

for signal in INT TERM HUP QUIT; do
  settle
  start_moving
  clock; begun=$NOW
  kill -$signal $TUNER
  wait $TUNER
  status=$?
  clock
  [ ! -e $RECORD ] && [ $status -ne 0 ]
  verdict "SIG$signal" "exit code $status after $(((NOW - begun) * 10)) ms, no record left"
  found "SIG$signal: read back"
  note </tmp/err
done

settle
start_moving
polythrottle tune --command '/bin/inference 1' --slo 2x --study /tmp/second.sqlite >/tmp/out 2>&1
status=$?
note </tmp/out
[ $status -eq 1 ] && contains "$(cat /tmp/out)" "$TUNER"
verdict "a second study" "refused with exit code $status, naming the first, $TUNER"
kill -INT $TUNER
wait $TUNER
found "a second study: read back"
