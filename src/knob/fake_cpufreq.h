#pragma once
// CPU clock policies for tests, as the two generations of kernels and the kinds of turbo answer. The rounding and clamping of kQos is what
// a kernel 6.1 did with a driver of ours; kChecks is the text of cpufreq.c of 4.9.

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "host/fake.h"

namespace polythrottle {

enum class CpufreqKernel {
  kChecks,  ///< 4.9: what crosses the other limit is EINVAL
  kQos,     ///< PM QoS: any number is a request; what is in force is clamped and rounded to the table
};

enum class FakeTurbo {
  kNone,
  kNoTurbo,    ///< intel_pstate: the highest clock moves, requests stay
  kSetsLimit,  ///< cpufreq/boost: every request for a ceiling becomes the new highest clock
};

class FakeCpufreq : public FakeFiles {
 public:
  using Khz = long long;

  explicit FakeCpufreq(CpufreqKernel kernel, FakeTurbo turbo = FakeTurbo::kNone) : kernel_(kernel), turbo_(turbo) {
    if (turbo_ == FakeTurbo::kNoTurbo) nodes[kNoTurbo] = "0\n";
    if (turbo_ == FakeTurbo::kSetsLimit) nodes[kBoost] = "1\n";
  }

  /// `table` empty: a driver without one. `base`: the highest clock without turbo; 0: the same.
  void add(int number, std::vector<Khz> table, Khz lowest, Khz highest, Khz base = 0) {
    Policy policy{.table = std::move(table), .lowest = lowest, .highest = highest, .base = base == 0 ? highest : base};
    policy.floor = lowest;
    policy.ceiling = highest;
    policies_[number] = policy;
    show(number);
  }

  /// As somebody left it before us.
  void set(int number, Khz floor, Khz ceiling) {
    policies_[number].floor = floor;
    policies_[number].ceiling = ceiling;
    show(number);
  }

  /// What a hot or slow sensor, or the firmware, allows from now on.
  void hold_below(int number, Khz ceiling) {
    policies_[number].held = ceiling;
    show(number);
  }

  void take_offline(int number) {
    policies_[number].online = false;
    show(number);
  }
  void bring_online(int number) {
    policies_[number].online = true;
    show(number);
  }

  static std::string folder(int number) { return "/sys/devices/system/cpu/cpufreq/policy" + std::to_string(number); }
  static std::string min_path(int number) { return folder(number) + "/scaling_min_freq"; }
  static std::string max_path(int number) { return folder(number) + "/scaling_max_freq"; }
  Khz request(int number) const { return policies_.at(number).ceiling; }

  Status write(const std::string& path, const std::string& text) override {
    if (path == kNoTurbo || path == kBoost) {
      TRY_STATUS(FakeFiles::write(path, text));
      for (auto& [number, policy] : policies_) {
        if (turbo_ == FakeTurbo::kSetsLimit) policy.ceiling = top(policy);
        show(number);
      }
      return {};
    }
    for (auto& [number, policy] : policies_) {
      const bool floor = path == min_path(number);
      if (!floor && path != max_path(number)) continue;
      if (!policy.online) break;
      const bool number_like = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
      Khz wanted = number_like ? std::stoll(text) : 0;
      bool refused = !number_like;
      if (kernel_ == CpufreqKernel::kChecks) {
        wanted = std::clamp(wanted, policy.lowest, top(policy));
        refused = refused || (floor ? wanted > policy.ceiling : wanted < policy.floor);
      }
      if (refused) {
        writes.emplace_back(path, text);
        ++refusals;
        return tl::unexpected<Error>(system_error("write " + path, EINVAL));
      }
      TRY_STATUS(FakeFiles::write(path, text));
      (floor ? policy.floor : policy.ceiling) = wanted;
      show(number);
      return {};
    }
    return FakeFiles::write(path, text);
  }

  static constexpr const char* kNoTurbo = "/sys/devices/system/cpu/intel_pstate/no_turbo";
  static constexpr const char* kBoost = "/sys/devices/system/cpu/cpufreq/boost";
  int refusals = 0;  ///< writes that were answered with EINVAL

 private:
  struct Policy {
    std::vector<Khz> table;
    Khz lowest = 0;
    Khz highest = 0;
    Khz base = 0;
    Khz floor = 0;    ///< limits (4.9) or requests (PM QoS)
    Khz ceiling = 0;  ///< the same
    Khz held = 0;     ///< somebody else's request for a ceiling; 0: none
    bool online = true;
  };

  bool turbo_on() const {
    if (turbo_ == FakeTurbo::kNone) return true;
    return nodes.at(turbo_ == FakeTurbo::kNoTurbo ? kNoTurbo : kBoost).starts_with(turbo_ == FakeTurbo::kNoTurbo ? "0" : "1");
  }
  Khz top(const Policy& policy) const { return turbo_on() ? policy.highest : policy.base; }

  void show(int number) {
    const Policy& policy = policies_.at(number);
    const std::string at = folder(number);
    if (!policy.online) {
      if (kernel_ == CpufreqKernel::kChecks) {
        std::erase_if(nodes, [&](const auto& node) { return node.first.starts_with(at + "/"); });
        folders.insert(at);
        return;
      }
      for (const auto& [path, text] : nodes) {
        if (path.starts_with(at + "/")) refuse_read[path] = refuse_write[path] = EBUSY;
      }
      return;
    }
    const auto here = [&](const auto& refusal) { return refusal.first.starts_with(at + "/") && refusal.second == EBUSY; };
    std::erase_if(refuse_read, here);
    std::erase_if(refuse_write, here);
    Khz ceiling = std::clamp(policy.ceiling, policy.lowest, top(policy));
    if (policy.held != 0) ceiling = std::min(ceiling, std::max(policy.held, policy.lowest));
    Khz floor = std::min(std::max(policy.floor, policy.lowest), ceiling);
    if (kernel_ == CpufreqKernel::kQos && !policy.table.empty()) {
      const auto above = std::lower_bound(policy.table.begin(), policy.table.end(), floor);
      if (above != policy.table.end()) floor = *above;
      const auto past = std::upper_bound(policy.table.begin(), policy.table.end(), ceiling);
      if (past != policy.table.begin()) ceiling = std::max(*(past - 1), floor);
    }
    std::string table;
    for (const Khz khz : policy.table) table += std::to_string(khz) + " ";
    if (!policy.table.empty()) nodes[at + "/scaling_available_frequencies"] = table + "\n";
    nodes[at + "/cpuinfo_min_freq"] = std::to_string(policy.lowest) + "\n";
    nodes[at + "/cpuinfo_max_freq"] = std::to_string(top(policy)) + "\n";
    nodes[min_path(number)] = std::to_string(floor) + "\n";
    nodes[max_path(number)] = std::to_string(ceiling) + "\n";
    nodes[at + "/scaling_cur_freq"] = std::to_string(ceiling) + "\n";
  }

  CpufreqKernel kernel_;
  FakeTurbo turbo_;
  std::map<int, Policy> policies_;
};

}  // namespace polythrottle
