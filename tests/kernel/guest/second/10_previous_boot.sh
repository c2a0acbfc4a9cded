# The power was lost in the middle of a study: its record is on disk, and everything it says was set went with the power.
settle
mkdir -p ${RECORD%/*}
cp /record $RECORD
put 1190400 $POLICY0/scaling_max_freq >/dev/null # differs from what the record found, and is none of its business now
look
FOUND=$SEEN
polythrottle restore >/tmp/out 2>&1
status=$?
note </tmp/out
[ $status -eq 0 ] && [ ! -e $RECORD ] && cmp -s /record $RECORD.previous-boot
verdict "a record of the boot before" "compared, reported, set aside unchanged; exit code $status"
found "a record of the boot before: nothing written"

settle
mkdir -p ${RECORD%/*}
cp /record $RECORD
tune --budget 3 --confirm 0 >/tmp/out 2>/tmp/err
status=$?
note </tmp/err
[ $status -eq 0 ] && [ ! -e $RECORD ]
verdict "a study after such a record" "exit code $status"
found "a study after such a record: read back"
