#pragma once
// What goes wrong on a simulated machine, and when: as text for the command line, and as the answer to "does this access fail?".

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle::simulation {

enum class FaultKind {
  kRefuse,  ///< a write fails; the errno's name may follow "=" (default EACCES)
  kLie,     ///< a write succeeds and changes nothing
  kDeaf,    ///< a write succeeds and reads back, and the hardware goes on as before: the limit is there, the clock does not follow
  kStick,   ///< reads go on answering what the first of them answered
  kGoBack,  ///< a write takes hold, and is undone so many seconds later (after "=", default 1)
  kEagain,  ///< reads and writes fail with EAGAIN
  kVanish,  ///< the node, or everything in the folder, is gone
  kRival,   ///< somebody else writes the text behind "="; with an end time once a second
};

struct Fault {
  FaultKind kind = FaultKind::kRefuse;
  std::string path;                   ///< links followed
  std::string value;                  ///< behind "="
  Seconds from{0};                    ///< time of the machine, which starts at 0
  Seconds until{1e300};               ///< exclusive
  std::optional<int> left;            ///< accesses it still spoils; none: all
  int error_number = 0;               ///< refuse
  Seconds delay{1};                   ///< go-back
  std::optional<std::string> frozen;  ///< stick: what is shown

  bool acts_at(Seconds now) const { return now >= from && now < until && (!left || *left > 0); }
};

/// KIND:PATH[=VALUE][@FROM[..TO]][*COUNT], separated by commas or new lines, e.g.
/// "refuse:/sys/devices/.../max_freq=EBUSY@5..20*3, rival:/sys/devices/.../max_freq=114750000@12". Kinds: refuse, lie, deaf, stick,
/// go-back, eagain, vanish, rival. Seconds may have a fraction. Empty text is no fault.
/// Errors: kInvalid, saying which entry and what is wrong; whether the nodes exist is for the machine to say.
Result<std::vector<Fault>> parse_faults(std::string_view text);
const char* to_string(FaultKind kind);

/// The faults of one machine in progress.
class FaultPlan {
 public:
  FaultPlan() = default;
  explicit FaultPlan(std::vector<Fault> faults) : faults_(std::move(faults)) {}
  const std::vector<Fault>& faults() const { return faults_; }
  bool empty() const { return faults_.empty(); }

  /// Is this path gone now?
  bool vanished(std::string_view resolved, Seconds now) const;
  /// The fault of this kind that spoils this access; counts it.
  Fault* spoils(FaultKind kind, std::string_view resolved, Seconds now);

 private:
  std::vector<Fault> faults_;
};

}  // namespace polythrottle::simulation
