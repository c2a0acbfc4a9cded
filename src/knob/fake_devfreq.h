#pragma once
// A Jetson's GPU and memory controller for tests, as the two generations of kernels answer.

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "host/fake.h"

namespace polythrottle {

enum class DevfreqKernel {
  kChecks,  ///< 4.9: what crosses the other limit is EINVAL, what leaves the table is clamped to its ends, no ceiling is 0
  kQos,     ///< PM QoS: any number is a request; the higher floor waits behind the lower ceiling; 0 takes a request back
};

/// A devfreq device whose limits answer as that kernel's do.
class FakeDevfreq : public FakeFiles {
 public:
  using Hz = long long;

  FakeDevfreq(DevfreqKernel kernel, std::string folder, std::vector<Hz> table)
      : kernel_(kernel), folder_(std::move(folder)), table_(std::move(table)) {
    std::string text;
    for (const Hz hertz : table_) text += std::to_string(hertz) + " ";
    nodes[folder_ + "/available_frequencies"] = text + "\n";
    nodes[folder_ + "/cur_freq"] = "0\n";
    set(table_.front(), table_.back());
  }

  /// As somebody left it before us.
  void set(Hz min, Hz max) {
    min_ = min;
    max_ = max;
    show();
  }

  /// Another one's limit under PM QoS, as cooling asks for it: the lower ceiling is shown. 0: gone.
  void hold_down(Hz hertz) {
    held_down_ = hertz;
    show();
  }

  Status write(const std::string& path, const std::string& text) override {
    const bool floor = path == folder_ + "/min_freq";
    if (!floor && path != folder_ + "/max_freq") return FakeFiles::write(path, text);
    Hz wanted = std::stoll(text);
    if (kernel_ == DevfreqKernel::kChecks) {
      if (wanted != 0) wanted = std::clamp(wanted, table_.front(), table_.back());
      const bool crosses = floor ? max_ != 0 && wanted > max_ : wanted != 0 && wanted < min_;
      if (crosses) {
        writes.emplace_back(path, text);
        ++refusals;
        return tl::unexpected<Error>(system_error("write " + path, EINVAL));
      }
    }
    TRY_STATUS(FakeFiles::write(path, text));
    if (!lie.contains(path)) (floor ? min_ : max_) = wanted;
    show();
    return {};
  }

  /// Where the clock stands under full load: at the ceiling; but pinned off the table at the next level above (tried on 6.1).
  Hz loaded_clock() const {
    const Hz ceiling = max_ == 0 ? table_.back() : std::clamp(max_, table_.front(), table_.back());
    const auto above = std::lower_bound(table_.begin(), table_.end(), ceiling);
    return *above == ceiling || min_ >= ceiling ? *above : *(above - 1);
  }

  int refusals = 0;  ///< writes that crossed the other limit

 private:
  void show() {
    Hz floor = min_;
    Hz ceiling = max_;
    if (kernel_ == DevfreqKernel::kQos) {
      ceiling = max_ == 0 ? table_.back() : std::min(max_, table_.back());
      if (held_down_ != 0) ceiling = std::min(ceiling, held_down_);
      floor = std::min(std::max(min_, table_.front()), ceiling);
    }
    nodes[folder_ + "/min_freq"] = std::to_string(floor) + "\n";
    nodes[folder_ + "/max_freq"] = std::to_string(ceiling) + "\n";
  }

  DevfreqKernel kernel_;
  std::string folder_;
  std::vector<Hz> table_;
  Hz min_ = 0;  ///< limits (4.9) or requests (PM QoS)
  Hz max_ = 0;
  Hz held_down_ = 0;
};

}  // namespace polythrottle
