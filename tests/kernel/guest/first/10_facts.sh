# What this kernel does with a write: the table that the knobs are built on. Every node is back as found behind it.
# fact WHAT EXPECTED GOT
fact() { say "fact|$1|$2|$3"; }
# try WHAT EXPECTED FILE VALUE [FILE VALUE...] [read FILE...]: writes in turn; the answer is the errors and what is then read.
try() {
  local what=$1 expected=$2 got=
  shift 2
  while [ $# -gt 0 ]; do
    if [ "$1" = read ]; then
      got="$got $(get "$2")"
    else
      got="$got $(put "$1" "$2")"
    fi
    shift 2
  done
  fact "$what" "$expected" "$(echo $got)"
}
MAX=$POLICY0/scaling_max_freq
MIN=$POLICY0/scaling_min_freq

try "cpufreq: max=806400, then min=1190400" "806400 806400" 806400 $MAX 1190400 $MIN read $MIN read $MAX
try "cpufreq: max=2035200 after that: the hidden floor comes up" "1190400 2035200" 2035200 $MAX read $MIN read $MAX
put 345600 $MIN >/dev/null
try "cpufreq: max=1000000 is rounded down" 806400 1000000 $MAX read $MAX
put 2035200 $MAX >/dev/null
try "cpufreq: min=1000000 is rounded up" 1190400 1000000 $MIN read $MIN
try "cpufreq: min=max=1000000 ends above the ceiling" "1190400 1190400" 1000000 $MAX read $MIN read $MAX
put 345600 $MIN >/dev/null
for value in 1 0; do try "cpufreq: max=$value is the lowest, not 'no limit'" 345600 $value $MAX read $MAX; done
try "cpufreq: min=0 is the lowest" 345600 0 $MIN read $MIN
for value in 2147483647 9223372036854775807; do try "cpufreq: max=$value is the highest" 2035200 $value $MAX read $MAX; done
for value in -1 abc; do try "cpufreq: max=$value" "EINVAL 2035200" $value $MAX read $MAX; done
# The kernel takes a limit in force in a work queue, behind the write: how often that is seen depends on how busy the machine is.
late=0
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  for khz in 345600 806400; do
    echo $khz >$MAX
    read -r now <$MAX
    [ "$now" = $khz ] || late=$((late + 1))
  done
done
say "told|cpufreq: of 40 ceilings read straight after their write, $late still showed the one before"
put 2035200 $MAX >/dev/null
governor=$(get $POLICY0/scaling_governor)
try "cpufreq: an unknown governor" "EINVAL $governor" nosuch $POLICY0/scaling_governor read $POLICY0/scaling_governor
try "cpufreq: setspeed without the userspace governor" "<unsupported>" read $POLICY0/scaling_setspeed

try "devfreq: max=200000000, which no table has, is kept and shown" 200000000 200000000 $GPU/max_freq read $GPU/max_freq
put 200000000 $GPU/min_freq >/dev/null
# Both limits stand between two clocks. Which of these it is depends on what the governor wants: nothing that can be read says so but the clock.
try "devfreq: min=max=200000000, busy: at the next clock below" 114750000 read $GPU/cur_freq
put 0 $BOARD/gpu_busy >/dev/null
gpu_runs_at() { [ "$(get $GPU/cur_freq)" = "$1" ]; }
waits 10 gpu_runs_at 306000000
try "devfreq: min=max=200000000, idle: at the next clock above" 306000000 read $GPU/cur_freq
put 100 $BOARD/gpu_busy >/dev/null
try "devfreq: max=0 takes the ceiling away" 1300500000 0 $GPU/max_freq read $GPU/max_freq
try "devfreq: min=0 takes the floor away" 114750000 0 $GPU/min_freq read $GPU/min_freq
try "devfreq: min=624750123 is cut to kHz" 624750000 624750123 $GPU/min_freq read $GPU/min_freq
try "devfreq: max=624750123 is rounded up to kHz" 624751000 624750123 $GPU/max_freq read $GPU/max_freq
put 0 $GPU/max_freq >/dev/null
put 918000000 $GPU/min_freq >/dev/null
try "devfreq: max=306000000 below the floor: max wins" "306000000 306000000" 306000000 $GPU/max_freq read $GPU/min_freq read $GPU/max_freq
try "devfreq: max=0 after that: the hidden floor comes up" "918000000 1300500000" 0 $GPU/max_freq read $GPU/min_freq read $GPU/max_freq
put 0 $GPU/min_freq >/dev/null
try "devfreq: max=-1" "EINVAL 1300500000" -1 $GPU/max_freq read $GPU/max_freq
try "devfreq: an absent governor" "ENOENT simple_ondemand" performance $GPU/governor read $GPU/governor

try "hotplug: cpu1 offline, its policy's files stay and refuse" "EBUSY EBUSY" 0 $CPU/cpu1/online read $POLICY1/scaling_max_freq 806400 $POLICY1/scaling_max_freq
put 1 $CPU/cpu1/online >/dev/null
put 1190400 $POLICY1/scaling_max_freq >/dev/null
put 0 $CPU/cpu1/online >/dev/null
try "hotplug: back online, a ceiling from before is still in force" 1190400 1 $CPU/cpu1/online read $POLICY1/scaling_max_freq
put 2035200 $POLICY1/scaling_max_freq >/dev/null
fact "hotplug: cpu0 has no file 'online'" absent "$([ -e $CPU/cpu0/online ] && echo there || echo absent)"

fact "powercap: mode of energy_uj" 400 "$(stat -c %a $RAPL/energy_uj)"
limit=$(get $RAPL/constraint_0_power_limit_uw)
try "powercap: a negative limit" "EINVAL $limit" -1 $RAPL/constraint_0_power_limit_uw read $RAPL/constraint_0_power_limit_uw
