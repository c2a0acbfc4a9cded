# Killed, both, and then the power goes: the record is all that is left. The next boot finds it.
settle
start_moving
kill -9 $(watchdog) $TUNER
wait $TUNER
cat $RECORD >/dev/ttyS2
[ -s $RECORD ]
verdict "power loss" "a record of this boot is left on disk: $(differences)"
