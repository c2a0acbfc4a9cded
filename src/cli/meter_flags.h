#pragma once
// The flags by which people choose and describe a meter, the same in every subcommand that measures.

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "meter/meter.h"

namespace polythrottle {

/// As typed.
struct MeterFlags {
  std::string meter;             ///< empty: the best there is
  std::string power_model;       ///< idle=W,active=W per CPU
  std::string external_command;  ///< that reads a meter of the user's (docs/external-meter.md); empty: there is none
  std::optional<double> external_error_percent;
};

/// Adds them to a subcommand, with help.
void add_meter_options(CLI::App& command, MeterFlags& flags, const std::string& group);

/// What the meters' drivers need to know. Errors: kInvalid.
Result<MeterOptions> meter_options(const MeterFlags& flags);

/// Name of the meter that is asked for: an external one also by its command. Empty: the best there is.
std::string wanted_meter(const MeterFlags& flags);

/// Takes the meter called `wanted` out of `found`, or the first that is not used by name only if `wanted` is empty. Errors: kInvalid
/// for a name that is not there, with those that are; why it is absent, for one that is.
Result<std::unique_ptr<Meter>> choose_meter(std::vector<std::unique_ptr<Meter>>& found, const std::vector<MeterAbsence>& absent,
                                            const std::string& wanted);

}  // namespace polythrottle
