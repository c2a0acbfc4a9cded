# A setting left in place on purpose.
settle
tune --knob cpu_quota_ratio=off --budget 6 --confirm 0 --keep >/tmp/out 2>/tmp/err
status=$?
note </tmp/out
note </tmp/err
[ $status -eq 0 ] && is_moved && [ -e $RECORD ] && [ -z "$(watchdog)" ]
verdict "tune --keep" "exit code $status; in place: $(differences)"
kept=$SEEN
polythrottle tune --command '/bin/inference 1' --slo 2x --study /tmp/second.sqlite >/tmp/out 2>&1
status=$?
note </tmp/out
look
[ $status -eq 1 ] && [ "$SEEN" = "$kept" ]
verdict "a study while something is kept" "refused with exit code $status, nothing moved"
polythrottle restore >/tmp/out 2>&1
status=$?
note </tmp/out
[ $status -eq 0 ] && [ ! -e $RECORD ]
verdict "restore of what was kept" "exit code $status"
found "restore of what was kept: read back"

if polythrottle apply --help >/dev/null 2>&1; then
  polythrottle apply /tmp/study.sqlite >/tmp/out 2>&1
  status=$?
  note </tmp/out
  look
  [ $status -eq 0 ] && [ "$SEEN" = "$kept" ]
  verdict apply "exit code $status; the same as tune --keep left: $(differences)"
  polythrottle restore >/tmp/out 2>&1
  found "restore of what was applied: read back"
else
  say "told|apply: left out, this program has none"
fi
