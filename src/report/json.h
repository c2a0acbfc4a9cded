#pragma once
// JSON documents as values, for the files of this folder that put them together.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "study/summary.h"
#include "trial/json.h"

namespace polythrottle {

/// What render_json prints.
Json summary_json(const Summary& summary);
/// A document as files hold it: indented by two, a newline at the end; bytes that are no UTF-8 are replaced.
std::string dumped(const Json& json);

}  // namespace polythrottle
