#pragma once
// The searches that are compared, by the names used on the command line.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/optimizer.h"

namespace polythrottle::bench {

struct Method {
  std::string name;  ///< as shown
  /// For one search of at most `cap` trials.
  std::function<Result<std::unique_ptr<Optimizer>>(std::size_t cap)> make;
  std::optional<Explore> explore;  ///< its own; absent: as --explore says
  bool steered = false;            ///< stops by itself
  std::string command;             ///< of a peer program; empty: in this process
  std::string about;               ///< what a peer says of itself
};

/// "NAME" of an optimizer driver, "NAME/safe", "NAME/strict" or "NAME/bold" of a steered one, "gp", "gp-max2"; several of them separated by
/// commas. A text "cmd:COMMAND" or "NAME=cmd:COMMAND" is one peer program (docs/peer-protocol.md), commas and all; it is started once, to
/// ask what it is. Errors: kInvalid with the list of names; kInvalid for a method named twice; those of about_peer.
Result<std::vector<Method>> parse_methods(const std::vector<std::string>& texts);

/// The steered drivers, then eic, gp and random.
std::vector<std::string> usual_methods();

/// What --methods understands, for --help and complaints.
std::string method_names();

}  // namespace polythrottle::bench
