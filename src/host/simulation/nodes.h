#pragma once
// The tree of kernel nodes of a simulated machine: what each answers to a read and does on a write. No faults, no time.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace polythrottle::simulation {

/// What the kernel says to read(2): text, or an errno.
struct Answer {
  int error = 0;
  std::string text;

  static Answer refused(int error_number) { return {error_number, {}}; }
  static Answer of(std::string text) { return {0, std::move(text) + "\n"}; }
  static Answer of(long long number) { return of(std::to_string(number)); }
};

/// What a transfer to a chip or a look at a counter takes; a plain sysfs read of a variable is a system call.
inline constexpr Seconds kPlainRead{10e-6};
/// Writing one clock file: 17 ms (PolyThrottle, section 4: "about 17 ms per file").
inline constexpr Seconds kClockWrite{17e-3};

struct Node {
  std::function<Answer()> read;                  ///< empty: the kernel offers no read
  std::function<int(const std::string&)> write;  ///< answers 0 or an errno; empty: mode 0444
  Seconds read_cost = kPlainRead;                ///< passes before the answer is formed
  std::function<Seconds()> read_cost_now;        ///< in its place where it depends on the machine
  Seconds write_cost = kPlainRead;               ///< passes before the text takes hold
  std::function<bool()> present;                 ///< empty: always
  bool there() const { return !present || present(); }
};

class NodeTree {
 public:
  void add(const std::string& path, Node node);
  /// A read-only node with this content, as read.
  void constant(const std::string& path, std::string content);
  /// `path` is a symbolic link to `target`; both absolute.
  void link(const std::string& path, const std::string& target);

  /// The path with every link followed.
  std::string resolve(std::string path) const;
  /// By resolved path; nullptr if there is none or it is not present now.
  const Node* find(const std::string& resolved) const;
  bool is_folder(const std::string& resolved) const;
  /// Names of nodes, folders and links in a folder, sorted.
  std::vector<std::string> list(const std::string& resolved) const;
  /// Present nodes whose path ends like this one, for messages.
  std::vector<std::string> alike(std::string_view path) const;

 private:
  std::map<std::string, Node> nodes_;
  std::map<std::string, std::string> links_;
};

}  // namespace polythrottle::simulation
