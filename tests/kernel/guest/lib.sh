# What the tests of the guest share. Answers go to the second serial line, one a line:
#   fact|WHAT|EXPECTED|WHAT THE KERNEL DID      told|WHAT IT DID      test|NAME|ok or FAIL|WORDS      note|WORDS      end

CPU=/sys/devices/system/cpu
POLICY0=$CPU/cpufreq/policy0
POLICY1=$CPU/cpufreq/policy1
GPU=/sys/class/devfreq/17000000.ga10b
RAPL=/sys/class/powercap/intel-rapl/intel-rapl:0
EMC=/sys/kernel/debug/bpmp/debug/clk/emc
BOARD=/sys/kernel/debug/test_board
in_place= # exec: without a shell in between
RECORD=/var/lib/polythrottle/lease.json

# Every file of the machine that a study may write, and some that it must not.
NODES="$POLICY0/scaling_min_freq $POLICY0/scaling_max_freq $POLICY0/scaling_governor $POLICY1/scaling_min_freq $POLICY1/scaling_max_freq
  $POLICY1/scaling_governor $GPU/min_freq $GPU/max_freq $GPU/governor $EMC/rate $EMC/mrq_rate_locked $EMC/state
  $RAPL/constraint_0_power_limit_uw $RAPL/constraint_0_time_window_us $CPU/cpu1/online $CPU/cpu2/online"

say() { echo "$*" | tee /dev/ttyS1; }
note() { sed 's/^/note|/' | tee /dev/ttyS1; }

# The words of an error as its name in C.
errno_of() {
  case $1 in
    *"Invalid argument"*) echo EINVAL ;;
    *"esource busy"*) echo EBUSY ;;
    *"No such file"*) echo ENOENT ;;
    *) echo "$1" ;;
  esac
}
# put VALUE FILE: writes it; says nothing, or the error.
put() { errno_of "$( (echo "$1" >"$2") 2>&1)"; }
# get FILE: what it holds, or the error.
get() {
  local text
  if text=$(cat "$1" 2>&1); then echo "$text"; else errno_of "$text"; fi
}

# These two start no process, which takes milliseconds here. look: all nodes in SEEN, what refuses as "?". clock: hundredths of a second in NOW.
look() {
  local node value
  SEEN=
  for node in $NODES; do
    value=
    { read -r value <"$node"; } 2>/dev/null || value=?
    SEEN="$SEEN$node $value
"
  done
}
clock() {
  local up
  read -r up _ </proc/uptime
  NOW=${up%.*}${up#*.}
}

# waits SECONDS COMMAND...: until it holds; fails when it never did.
waits() {
  clock
  local last=$((NOW + $1 * 100))
  shift
  until "$@"; do
    clock
    [ "$NOW" -lt "$last" ] || return 1
  done
}

# The machine as found: not at the edges of its tables, so that a restore to "default" is no restore.
settle() {
  for cpu in 1 2; do put 1 $CPU/cpu$cpu/online >/dev/null; done
  for policy in $POLICY0 $POLICY1; do
    put performance $policy/scaling_governor >/dev/null
    put 345600 $policy/scaling_min_freq >/dev/null
    put 2035200 $policy/scaling_max_freq >/dev/null
  done
  put 1190400 $POLICY1/scaling_max_freq >/dev/null
  put 114750000 $GPU/min_freq >/dev/null
  put 918000000 $GPU/max_freq >/dev/null
  put 306000000 $GPU/min_freq >/dev/null
  put 0 $EMC/mrq_rate_locked >/dev/null
  rm -f $RECORD*
  look
  FOUND=$SEEN
}
is_found() { look; [ "$SEEN" = "$FOUND" ]; }
is_moved() { ! is_found; }
differences() {
  look
  echo "$FOUND" >/tmp/found
  echo "$SEEN" >/tmp/seen
  diff /tmp/found /tmp/seen | grep '^[-+]/' | sed 's,/sys/[^ ]*/\([^/ ]*/[^/ ]* \),\1,' | tr '\n' ' '
}

# verdict NAME WORDS: of the command before it. found NAME WORDS: ok if every node reads as found.
verdict() {
  if [ $? -eq 0 ]; then say "test|$1|ok|$2"; else say "test|$1|FAIL|$2"; fi
}
found() {
  if is_found; then say "test|$1|ok|$2"; else say "test|$1|FAIL|$2; not as found: $(differences)"; fi
}
contains() { case $1 in *"$2"*) return 0 ;; esac; return 1; }

# tune WORDS...: a study of /bin/inference on this board, short trials.
tune() {
  rm -f /tmp/study*
  $in_place polythrottle tune --command '/bin/inference {batch}' --knob batch=1,4 --slo 4x --meter ${METER:-ina3221} --warm-up 0.3 \
    --window 0.5 --window-limit 1 --study /tmp/study.sqlite "$@"
}
# Its watchdog's process number.
watchdog() {
  local process name
  for process in /proc/[0-9]*; do
    { read -r name <"$process/comm"; } 2>/dev/null || continue
    [ "$name" != pt-watchdog ] || echo "${process#/proc/}"
  done
}
# A study that tries the whole space, in the background: TUNER is its process; then waits until it has moved something.
start_moving() {
  in_place=exec tune --knob cpu_quota_ratio=off --optimizer grid --confirm 0 "$@" >/tmp/out 2>/tmp/err &
  TUNER=$!
  waits 300 is_moved || say "test|a study that moves something|FAIL|nothing moved in 300 s: $(tail -n 1 /tmp/err)"
}
