# What the tests of the guest share. Answers go to the second serial line, one a line:
#   test NAME ok|FAIL|skip WORDS      fact|WHAT|EXPECTED|WHAT THE KERNEL DID      note WORDS      end

CPU=/sys/devices/system/cpu
POLICY0=$CPU/cpufreq/policy0
POLICY1=$CPU/cpufreq/policy1
GPU=/sys/class/devfreq/17000000.ga10b
RAPL=/sys/class/powercap/intel-rapl/intel-rapl:0
EMC=/sys/kernel/debug/bpmp/debug/clk/emc
BOARD=/sys/kernel/debug/test_board
RECORD=/run/polythrottle/lease.json

# Every file of the machine that a study may write.
NODES="$POLICY0/scaling_min_freq $POLICY0/scaling_max_freq $POLICY0/scaling_governor $POLICY1/scaling_min_freq $POLICY1/scaling_max_freq
  $POLICY1/scaling_governor $GPU/min_freq $GPU/max_freq $GPU/governor $EMC/rate $EMC/mrq_rate_locked $EMC/state
  $RAPL/constraint_0_power_limit_uw $RAPL/constraint_0_time_window_us $CPU/cpu1/online"

say() {
  echo "$*" >/dev/ttyS1
  echo "$*"
}

# The words of an error as its name in C.
errno_of() {
  case $1 in
    *"Invalid argument"*) echo EINVAL ;;
    *"Resource busy"* | *"Device or resource busy"*) echo EBUSY ;;
    *"Permission denied"*) echo EACCES ;;
    *"No such file"*) echo ENOENT ;;
    *) echo "$1" ;;
  esac
}
# put VALUE FILE: writes it; says nothing, or the error.
put() { errno_of "$( (echo "$1" >"$2") 2>&1)"; }
# get FILE: what it holds, or the error.
get() {
  if text=$(cat "$1" 2>&1); then echo "$text"; else errno_of "$text"; fi
}

nodes() { for node in $NODES; do echo "$node $(get $node)"; done; }
# Hundredths of a second since boot.
now() { sed 's/ .*//; s/\.//' /proc/uptime; }

# until_true SECONDS COMMAND...: asks again until it holds.
until_true() {
  local last=$(($(now) + $1 * 100))
  shift
  until "$@"; do
    [ "$(now)" -lt $last ] || return 1
    usleep 10000
  done
}
