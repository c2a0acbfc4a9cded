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

/// Which earlier study a method is given.
enum class Earlier {
  kNone,
  kFinished,    ///< what the method itself measures on the other workload until it stops
  kMisleading,  ///< a few trials of a machine on which what helps on the other workload harms, and the other way round
};

struct Method {
  std::string name;  ///< as shown
  /// For one search of at most `cap` trials.
  std::function<Result<std::unique_ptr<Optimizer>>(std::size_t cap)> make;
  std::optional<Explore> explore;    ///< its own; absent: as --explore says
  bool steered = false;              ///< stops by itself
  std::string command;               ///< of a peer program; empty: in this process
  std::string about;                 ///< what a peer says of itself
  Earlier earlier = Earlier::kNone;  ///< of the next workload of the family
  bool phased = false;               ///< needs a CPU clock with a choice
};

/// "NAME" of an optimizer driver, "NAME/VARIANT" of a steered one, "gp", "gp-max2"; several of them separated by commas. The variants are
/// safe, strict and bold; warm, which is given a finished study of another workload; wrong, which is given one of a machine that does not
/// exist; phases, which searches the CPU clock before the rest (optimizer/phases.h). A text "cmd:COMMAND" or "NAME=cmd:COMMAND" is one peer
/// program (docs/peer-protocol.md), commas and all; it is started once, to ask what it is. Errors: kInvalid with the list of names;
/// kInvalid for a method named twice; those of about_peer.
Result<std::vector<Method>> parse_methods(const std::vector<std::string>& texts);

/// The steered drivers, then eic, gp and random.
std::vector<std::string> usual_methods();

/// What --methods understands, for --help and complaints.
std::string method_names();

/// What the variants are that do not say it themselves, for --help.
std::string variants_help();

}  // namespace polythrottle::bench
