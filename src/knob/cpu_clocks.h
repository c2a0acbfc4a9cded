#pragma once
// The ceilings of all CPU clock domains and the turbo switch as one setting: the kernel moves the first when the second is written.
//
// With intel_pstate no_turbo hides a ceiling above the base clock, which comes back with turbo; elsewhere the switch sets every ceiling to
// the new highest clock, whatever it was. So turbo is written first and the ceilings after it.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "knob/cpu_policy.h"
#include "knob/cpu_turbo.h"
#include "knob/knob.h"

namespace polythrottle {

inline constexpr const char* kCpuTurbo = "cpu_turbo";

/// One ceiling for some of the policies.
struct CpuCeiling {
  std::string name;
  std::vector<std::size_t> policies;  ///< places in CpuClocks::policies
  std::vector<Value> levels;          ///< Hz, ascending
};

/// The floor of a policy gives way to its ceiling and, as soon as there is room, goes back to where it was before the first write.
class CpuClocks : public KnobGroup {
 public:
  CpuClocks(Files& files, std::vector<CpuPolicy> policies, std::optional<TurboSwitch> turbo);

  /// Makes it a member; answers its place. In a write a later one counts for the policies that an earlier one names too.
  std::size_t add(CpuCeiling ceiling);

  const std::vector<CpuPolicy>& policies() const { return policies_; }
  const CpuCeiling& ceiling(std::size_t at) const { return members_[at].ceiling; }
  const std::optional<TurboSwitch>& turbo() const { return turbo_; }

  /// The highest ceiling of its policies, Hz. Errors: those of read_khz, kBusy if one of the policies went offline.
  Result<Value> read(std::size_t at);
  /// The ceiling of a policy that is below the highest clock of the hardware: somebody has limited it.
  std::optional<Khz> limited(std::size_t place) const;

  /// False where a ceiling is above the base clock and turbo off: no policy can hold it. Where the base clock is unknown it may be tried.
  bool allows(const Config& config) const override;
  Status write(const Config& wanted) override;

 private:
  struct Member {
    CpuCeiling ceiling;
    std::map<double, std::vector<Khz>> seen;  ///< what each policy held when this value was first read
  };

  /// What we know of a policy's limits.
  struct Held {
    std::optional<Khz> floor_found;  ///< before our first write
    std::optional<Khz> ceiling;      ///< last written by us
    bool floor_at_bottom = false;    ///< by our last write
  };

  Result<Khz> read_ceiling(std::size_t place) const;
  Status write_ceiling(std::size_t place, Khz khz);
  Result<std::vector<Khz>> targets_of(const Member& member, const Value& value) const;
  Result<std::optional<bool>> turbo_of(const Config& wanted) const;

  Files& files_;
  std::vector<CpuPolicy> policies_;
  std::optional<TurboSwitch> turbo_;
  std::vector<Member> members_;
  std::vector<Held> held_;  ///< of each policy
};

}  // namespace polythrottle
