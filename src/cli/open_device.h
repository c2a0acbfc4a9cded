#pragma once
// From the words of --device to a device a study can run on.

#include "arrivals/arrivals.h"
#include "base/result.h"
#include "cli/tune_options.h"
#include "host/host.h"
#include "journal/journal.h"
#include "study/device.h"

namespace polythrottle {

struct OpenedDevice {
  Device device;
  StudyFacts facts;  ///< what only the device knows: description, model, hash, load, machine
};

/// Only looks; nothing of the machine is written. Errors: kInvalid for wrong words (usage), others as the parts say.
Result<OpenedDevice> open_device(const TuneOptions& options, Host& host);

// One file each; called by open_device.
Result<OpenedDevice> open_recorded_device(const TuneOptions& options, Host& host, const std::string& rest);
Result<OpenedDevice> open_cpu_device(const TuneOptions& options, Host& host);
Result<OpenedDevice> open_command_device(const TuneOptions& options, Host& host);
Result<OpenedDevice> open_target_device(const TuneOptions& options, Host& host);
Result<OpenedDevice> open_simulated_device(const TuneOptions& options, const std::string& board);

/// The load of an open loop, with its description; nothing for a closed one. Errors: kInvalid.
Result<std::optional<Arrivals>> arrivals_of(const TuneOptions& options, std::string& description);

/// A level of `parameter` written as text: its own text, or a number equal to it. Errors: kInvalid with the levels there are.
Result<Value> parse_level(const Parameter& parameter, const std::string& text);
/// The --knob flags by name: the texts of the levels wanted; empty for "off". Errors: kInvalid.
Result<std::map<std::string, std::vector<std::string>>> parse_knob_flags(const std::vector<std::string>& flags);
/// `defaults` with the --reference entries put in. Errors: kInvalid for a knob or level that is not there.
Result<Config> parse_reference(const std::string& text, const std::vector<Parameter>& parameters, Config defaults);

}  // namespace polythrottle
