// A candidate list from a study file: first line the parameters as JSON, the rest which combinations are allowed. A space that reads back
// to itself, or one line of complaint; never more memory than the largest space needs.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "space/space.h"
#include "trial/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  const auto json = parse_json(text.substr(0, line));
  if (!json) return 0;
  const auto parameters = parameters_from_json(*json);
  if (!parameters || line == std::string_view::npos) return 0;
  const auto space = Space::from_ranges(*parameters, text.substr(line + 1));
  if (!space) {
    if (space.error().code != Errc::kCorrupt || space.error().what.empty()) std::abort();
    return 0;
  }
  if (space->size() == 0 || space->size() > kMaxCandidates) std::abort();
  const auto again = Space::from_ranges(space->parameters(), space->ranges());
  if (!again || again->size() != space->size()) std::abort();
  for (const std::size_t id : {std::size_t{0}, space->size() / 2, space->size() - 1}) {
    const auto candidate = static_cast<CandidateId>(id);
    if (!(again->config(candidate) == space->config(candidate)) || again->find(space->config(candidate)) != candidate) std::abort();
  }
  return 0;
}
