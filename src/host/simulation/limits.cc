#include "host/simulation/limits.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace polythrottle::simulation {
namespace {

constexpr long long kHuge = 1LL << 62;
constexpr long long kKilo = 1000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

long long digits(std::string_view text) {
  long long number = 0;
  for (const char c : text) number = number > kHuge / 10 - 1 ? kHuge : number * 10 + (c - '0');
  return std::min(number, kHuge);
}

}  // namespace

std::optional<long long> strict_number(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) return std::nullopt;
  return digits(text);
}

std::optional<long long> leading_number(std::string_view text) {
  const auto first = std::find_if(text.begin(), text.end(), [](char c) { return c != ' ' && c != '\t' && c != '\n'; });
  const auto end = std::find_if_not(first, text.end(), is_digit);
  if (first == end) return std::nullopt;
  return digits(text.substr(static_cast<std::size_t>(first - text.begin()), static_cast<std::size_t>(end - first)));
}

// --- cpufreq -------------------------------------------------------------------------------------------------------------------

CpufreqLimits::CpufreqLimits(Generation generation, std::vector<long long> table)
    : generation_(generation),
      table_(std::move(table)),
      asked_min_(table_.front()),
      asked_max_(table_.back()),
      min_(table_.front()),
      max_(table_.back()) {}

int CpufreqLimits::write_min(std::string_view text) { return write(text, true); }
int CpufreqLimits::write_max(std::string_view text) { return write(text, false); }

int CpufreqLimits::write(std::string_view text, bool is_min) {
  const bool old = generation_ == Generation::kL4t49;
  const auto number = old ? leading_number(text) : strict_number(text);
  if (!number) return EINVAL;
  const long long khz = std::min<long long>(*number, std::numeric_limits<int>::max());
  if (old && (is_min ? khz > max_ : khz < min_)) return EINVAL;
  if (old) {
    // The 4.9 policy itself is the only memory: what a limit was clamped to is what later writes are checked against.
    asked_min_ = min_;
    asked_max_ = max_;
  }
  (is_min ? asked_min_ : asked_max_) = khz;
  verify();
  return 0;
}

void CpufreqLimits::verify() {
  const auto within = [&] {
    min_ = std::clamp(min_, table_.front(), table_.back());
    max_ = std::clamp(max_, table_.front(), table_.back());
    min_ = std::min(min_, max_);
  };
  min_ = asked_min_;
  max_ = asked_max_;
  within();
  const bool some = std::any_of(table_.begin(), table_.end(), [&](long long khz) { return khz >= min_ && khz <= max_; });
  if (!some) max_ = at_least(max_);
  within();
  if (generation_ == Generation::kPmQos) {
    min_ = at_least(min_);
    max_ = at_most(max_);
  }
}

long long CpufreqLimits::at_least(long long khz) const {
  const auto found = std::lower_bound(table_.begin(), table_.end(), khz);
  return found == table_.end() ? table_.back() : *found;
}

long long CpufreqLimits::at_most(long long khz) const {
  const auto found = std::upper_bound(table_.begin(), table_.end(), khz);
  return found == table_.begin() ? table_.front() : *(found - 1);
}

long long CpufreqLimits::target(long long wanted) const {
  // Relation L (the lowest clock not below the wish) unless that breaks the maximum.
  const long long up = at_least(std::clamp(wanted, min_, max_));
  return up <= max_ ? up : at_most(max_);
}

// --- devfreq -------------------------------------------------------------------------------------------------------------------

DevfreqLimits::DevfreqLimits(Generation generation, std::vector<long long> table)
    : generation_(generation), table_(std::move(table)), min_(table_.front()), max_(table_.back()) {}

int DevfreqLimits::write_min(std::string_view text) {
  const auto number = leading_number(text);
  if (!number) return EINVAL;
  if (generation_ == Generation::kPmQos) {
    min_ = *number / kKilo * kKilo;
    return 0;
  }
  if (*number != 0 && max_ != 0 && *number > max_) return EINVAL;
  min_ = std::max(*number, table_.front());
  return 0;
}

int DevfreqLimits::write_max(std::string_view text) {
  const auto number = leading_number(text);
  if (!number) return EINVAL;
  if (generation_ == Generation::kPmQos) {
    max_ = (*number + kKilo - 1) / kKilo * kKilo;
    return 0;
  }
  if (*number != 0 && *number < min_) return EINVAL;
  max_ = std::min(*number, table_.back());
  return 0;
}

long long DevfreqLimits::min() const {
  if (generation_ == Generation::kL4t49) return min_;
  return std::min(std::max(min_, table_.front()), max());
}

long long DevfreqLimits::max() const {
  if (generation_ == Generation::kL4t49) return max_;
  return max_ == 0 ? table_.back() : std::min(max_, table_.back());
}

long long DevfreqLimits::ceiling() const { return round_up(max() == 0 ? table_.back() : max()); }

long long DevfreqLimits::round_up(long long hertz) const {
  const auto found = std::lower_bound(table_.begin(), table_.end(), hertz);
  return found == table_.end() ? table_.back() : *found;
}

// --- EMC -----------------------------------------------------------------------------------------------------------------------

EmcLimits::EmcLimits(std::vector<long long> table)
    : table_(std::move(table)), asked_(table_.back()), min_rate_(table_.front()), max_rate_(table_.back()) {}

int EmcLimits::write_rate(std::string_view text) {
  const auto number = strict_number(text);
  if (!number) return EINVAL;
  if (locked_) asked_ = *number;
  return 0;
}

int EmcLimits::write_locked(std::string_view text) {
  const auto number = strict_number(text);
  if (!number) return EINVAL;
  if (!locked_) asked_ = rate();  // the lock holds what it finds
  locked_ = *number != 0;
  return 0;
}

int EmcLimits::write_state(std::string_view text) {
  const auto number = strict_number(text);
  if (!number) return EINVAL;
  state_ = *number != 0 ? 1 : 0;
  return 0;
}

int EmcLimits::write_min_rate(std::string_view text) {
  const auto number = strict_number(text);
  if (!number) return EINVAL;
  min_rate_ = round_up(*number);
  return 0;
}

int EmcLimits::write_max_rate(std::string_view text) {
  const auto number = strict_number(text);
  if (!number) return EINVAL;
  max_rate_ = round_up(*number);
  return 0;
}

int EmcLimits::write_cap(std::string_view text) {
  const auto number = leading_number(text);
  if (!number) return EINVAL;
  cap_ = *number;
  return 0;
}

long long EmcLimits::rate() const {
  // Unlocked, the clock stood at the top in every tegrastats line seen (docs/hardware.md): the manager asks for what it may have.
  const long long wanted = locked_ ? asked_ : (cap_ == 0 ? table_.back() : std::min(cap_, table_.back()));
  return std::min(std::max(round_up(wanted), min_rate_), max_rate_);
}

long long EmcLimits::round_up(long long hertz) const {
  const auto found = std::lower_bound(table_.begin(), table_.end(), hertz);
  return found == table_.end() ? table_.back() : *found;
}

}  // namespace polythrottle::simulation
