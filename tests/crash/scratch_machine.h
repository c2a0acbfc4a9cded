#pragma once
// A recorded machine that may be written to: a copy of a fixture root, and what differs from it.

#include <map>
#include <string>
#include <vector>

namespace polythrottle::crash {

/// What stands at a path: 'd' and nothing, 'l' and where it leads, 'f' and the content.
using Picture = std::map<std::string, std::pair<char, std::string>>;

/// Every path below `root`, without /var/lib/polythrottle (our record). White space at the end of a file is left out: what a kernel prints
/// behind a value is not part of it, and what is written back has none.
Picture look_at_tree(const std::string& root);
/// One line for each path that differs: "sys/.../max_freq: found 2000, now 1000".
std::vector<std::string> differences(const Picture& found, const Picture& now);

/// A copy of a fixture root in a folder of its own. Its files hold what is written to them and nothing else moves: no governor, no
/// firmware, no folder that fills itself.
class ScratchMachine {
 public:
  /// Copies `fixture` to `folder`/root.
  ScratchMachine(const std::string& fixture, const std::string& folder);
  const std::string& root() const { return root_; }
  /// Where a lease of this machine keeps its record.
  std::string record() const { return root_ + "/var/lib/polythrottle/lease.json"; }
  /// How it differs from the fixture.
  std::vector<std::string> changed() const { return differences(found_, look_at_tree(root_)); }
  /// The fixture again, whatever was left, without any record.
  void renew();

 private:
  std::string fixture_, root_;
  Picture found_;
};

}  // namespace polythrottle::crash
