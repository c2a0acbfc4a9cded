# Somebody else writes in the middle of a trial.
settle
start_moving --budget 12
# The other end of the table than where it is now.
other=114750000
[ "$(get $GPU/max_freq)" != 114750000 ] || other=1300500000
# More than once: a single write may fall between two trials, where the next setting takes it away unnoticed.
for again in 1 2 3 4; do
  put $other $GPU/max_freq >/dev/null
  sleep 0.4
done
wait $TUNER
status=$?
note </tmp/err
polythrottle show /tmp/study.sqlite --csv - >/tmp/trials.csv
note </tmp/trials.csv
grep -q '^[0-9]*,void' /tmp/trials.csv
verdict "a rival" "the trial is void: $(grep '^[0-9]*,void' /tmp/trials.csv | head -n 1)"
found "a rival: read back" "exit code $status"
