#pragma once
// What the kernel does with the clock limits people write, by kernel generation. Numbers in, numbers out; no time.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polythrottle::simulation {

/// Which rules a write follows (docs/hardware.md): L4T 4.9 checks a pair of limits, kernels with PM QoS collect requests.
enum class Generation { kL4t49, kPmQos };

/// A number as kstrtoul reads it: digits, at most one newline behind them. Clamped to 2^62.
std::optional<long long> strict_number(std::string_view text);
/// A number as sscanf("%lu") reads it: leading digits, whatever follows.
std::optional<long long> leading_number(std::string_view text);

/// scaling_min_freq and scaling_max_freq of one cpufreq policy, kHz.
/// 4.9: drivers/cpufreq/cpufreq.c cpufreq_set_policy: EINVAL where min > max, then both are clamped to the hardware's range.
/// PM QoS: the request is remembered; what reads back is the effective policy, of which max wins and both lie on the table, min rounded
/// up and max down (cpufreq_frequency_table_verify and __resolve_freq; measured on 6.1, docs/hardware.md).
class CpufreqLimits {
 public:
  /// `table` ascending.
  CpufreqLimits(Generation generation, std::vector<long long> table);
  int write_min(std::string_view text);
  int write_max(std::string_view text);
  long long min() const { return min_; }
  long long max() const { return max_; }
  /// The clock that a governor wanting `wanted` gets.
  long long target(long long wanted) const;
  const std::vector<long long>& table() const { return table_; }

 private:
  int write(std::string_view text, bool is_min);
  void verify();
  long long at_least(long long khz) const;
  long long at_most(long long khz) const;

  Generation generation_;
  std::vector<long long> table_;
  long long asked_min_, asked_max_;
  long long min_, max_;
};

/// min_freq and max_freq of a devfreq device, Hz.
/// 4.9 (OE4T linux-tegra-4.9 drivers/devfreq/devfreq.c): crossing gives EINVAL; a minimum below the table becomes its first entry, a
/// maximum above it its last; 0 is a maximum that means no cap, and is shown as 0.
/// PM QoS (6.1 drivers/devfreq/devfreq.c): kept in kHz, the minimum truncated and the maximum rounded up; 0 removes a limit; a value off
/// the table is kept and shown; max wins.
class DevfreqLimits {
 public:
  DevfreqLimits(Generation generation, std::vector<long long> table);
  int write_min(std::string_view text);
  int write_max(std::string_view text);
  long long min() const;
  long long max() const;
  /// Limits in force: what the clock can be, hence on the table. The clock driver rounds up, also above a maximum off the table.
  long long floor() const { return round_up(min()); }
  long long ceiling() const;
  long long round_up(long long hertz) const;
  const std::vector<long long>& table() const { return table_; }

 private:
  Generation generation_;
  std::vector<long long> table_;
  long long min_, max_;  ///< 0: none
};

/// The memory clock behind BPMP's debugfs and the bandwidth manager's cap, Hz.
/// While locked it holds the written rate, rounded up to one of the table ("1701.5 became 2133", arXiv 2310.19991, section 4); unlocked,
/// the bandwidth manager sets it to the highest rate its cap and max_rate allow and a written rate does not last. The cap is that of the
/// bandwidth manager alone, and its node shows the number last written whatever became of it (docs/hardware.md).
class EmcLimits {
 public:
  explicit EmcLimits(std::vector<long long> table);
  int write_rate(std::string_view text);
  int write_locked(std::string_view text);
  int write_state(std::string_view text);
  int write_min_rate(std::string_view text);
  int write_max_rate(std::string_view text);
  int write_cap(std::string_view text);
  long long locked() const { return locked_ ? 1 : 0; }
  long long state() const { return state_; }
  long long min_rate() const { return min_rate_; }
  long long max_rate() const { return max_rate_; }
  long long cap() const { return cap_; }
  /// Where the clock goes.
  long long rate() const;
  const std::vector<long long>& table() const { return table_; }

 private:
  long long round_up(long long hertz) const;

  std::vector<long long> table_;
  bool locked_ = false;
  long long state_ = 0;
  long long asked_, min_rate_, max_rate_;
  long long cap_ = 0;
};

}  // namespace polythrottle::simulation
