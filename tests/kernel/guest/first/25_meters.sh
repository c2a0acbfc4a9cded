# The kernel's own power and energy files, and what the meters make of them.
settle
sleep 1 # the GPU's governor looks every 20 ms
fact() { say "fact|$1|$2|$3"; }
# hwmon NAME: the folder of the chip of that name.
hwmon() {
  for folder in /sys/class/hwmon/hwmon*; do
    [ "$(cat $folder/name)" != "$1" ] || echo $folder
  done
}
POWER=$(hwmon test_power)
ENERGY=$(hwmon test_energy)
ZONES=/sys/class/powercap

fact "powercap: mode of energy_uj" 400 "$(stat -c %a $RAPL/energy_uj)"
fact "powercap: energy_uj for somebody else" "Permission denied" "$(su nobody -c "cat $RAPL/energy_uj" 2>&1 | sed 's/.*: //')"
fact "powercap: parts of a package are called" "core dram" "$(echo $(cat $ZONES/intel-rapl:0:0/name $ZONES/intel-rapl:0:1/name))"
fact "powercap: mode of a part's energy_uj" 400 "$(stat -c %a $ZONES/intel-rapl:0:0/energy_uj)"
fact "powercap: max_energy_range_uj" 262143328850 "$(cat $RAPL/max_energy_range_uj)"
fact "hwmon: mode of power1_input and energy1_input" "444 444" "$(echo $(stat -c %a $POWER/power1_input $ENERGY/energy1_input))"
# Clocks as found: 1.5 W for the board, 2.64 W and 1.00 W for the CPUs, 5.36 W for the GPU at 918 MHz, 2.13 W for memory.
fact "hwmon: power1_input is in microwatts" 12623739 "$(cat $POWER/power1_input)"
fact "hwmon: update_interval is in milliseconds" 20 "$(cat $POWER/update_interval)"
fact "hwmon: a label" "main supply" "$(cat $ENERGY/energy1_label)"
# Energy over two seconds of nothing, in microjoules: the power times the time that the guest's clock saw pass.
clock; from=$NOW
before=$(cat $ENERGY/energy1_input)
sleep 2
after=$(cat $ENERGY/energy1_input)
clock
expected=$(((NOW - from) * 126237))
off=$(((after - before - expected) * 100 / expected))
[ $off -ge -15 ] && [ $off -le 15 ]
verdict "hwmon: energy1_input is in microjoules" "$((after - before)) in $(((NOW - from) * 10)) ms, $off % off the power's"

polythrottle probe >/tmp/out
missing=
for name in 'rapl  measured' 'hwmon:test_power:main_supply  measured, only with --meter' 'hwmon:test_energy:main_supply  measured, only' \
  'rapl-perf  absent (not_found)'; do
  grep -q "^  $name" /tmp/out || missing="$missing; $name"
done
grep -q 'rails package-0, core-0 (in package-0) (not counted), dram-0 (not counted)' /tmp/out || missing="$missing; rails"
[ -z "$missing" ]
verdict "probe of the meters" "the kernel's zones and chips by name${missing:+, but not$missing}"

su nobody -c 'polythrottle probe' >/tmp/out 2>&1
grep -A 1 '^  rapl  absent (permission)' /tmp/out | grep -q CAP_DAC_READ_SEARCH
verdict "energy_uj for somebody else" "rapl: $(grep -m 1 '^  rapl ' /tmp/out | sed 's/^ *//')"

# reference METER: watts of the reference under this meter, from a study of two trials.
reference() {
  METER=$1 tune --budget 2 --confirm 0 --knob cpu_quota_ratio=off >/tmp/out 2>/tmp/err || note </tmp/err >/dev/null
  sed -n 's/^power  *\([0-9.]*\) W.*/\1/p' /tmp/out
}
for meter in hwmon:test_power:main_supply hwmon:test_energy:main_supply; do
  watts=$(reference $meter)
  # All at their highest clocks, as for ina3221: 19.34 W.
  [ "$(echo "$watts" | sed 's/\..*//')" = 19 ]
  verdict "a study with $meter" "reference ${watts:-nothing} W, by the board's formula 19.34 W"
  found "a study with $meter: everything back"
done

# Just before the package's counter starts again from 0; two CPUs draw 5.3 W.
now=$(cat $RAPL/energy_uj)
echo $((262143328850 - now - 8000000)) >$BOARD/package_offset_uj
watts=$(reference rapl)
end=$(cat $RAPL/energy_uj)
[ "$(echo "$watts" | sed 's/\..*//')" = 5 ] && [ "$end" -lt 10000000000 ]
verdict "a study across the wrap of energy_uj" "reference ${watts:-nothing} W, by the board's formula 5.27 W; the counter ended at $end uJ"
echo 0 >$BOARD/package_offset_uj
settle
