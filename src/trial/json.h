#pragma once
// Records as JSON, the same in the journal and in what outsiders read (names: docs/terms.md).

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "space/config.h"
#include "space/parameter.h"
#include "trial/constraint.h"
#include "trial/trial.h"

namespace polythrottle {

using Json = nlohmann::ordered_json;

/// {"gpu_mhz": 2602, "precision": "fp16"}; whole numbers without a decimal point.
Json to_json(const Config& config);
Json to_json(const Value& value);
/// {"energy_joules_per_inference": 0.58, ...}: plain numbers, SI, in the order of the metric table.
Json to_json(const Metrics& metrics);
/// What is known of their errors: {"energy_joules_per_inference": {"std_error": , "samples": , "shared": [{"source": , "relative": }]}};
/// unknown parts are absent.
Json errors_to_json(const Metrics& metrics);
Json to_json(const Advice& advice);
Json to_json(const Constraint& constraint);
Json to_json(const Parameter& parameter);
Json to_json(const std::vector<Parameter>& parameters);

/// The inverse. Errors: kCorrupt naming what is wrong; never throws.
Result<Config> config_from_json(const Json& json);
Result<Metrics> metrics_from_json(const Json& values, const Json& errors);
Result<Advice> advice_from_json(const Json& json);
Result<Constraint> constraint_from_json(const Json& json);
Result<Parameter> parameter_from_json(const Json& json);
/// A list of them, as the fact `space` holds it. Whether they make a space is not looked at here.
Result<std::vector<Parameter>> parameters_from_json(const Json& json);

/// Parses text. Errors: kCorrupt.
Result<Json> parse_json(std::string_view text);

}  // namespace polythrottle
