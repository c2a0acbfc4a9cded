#include "cli/serve_log.h"

#include <fmt/chrono.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/cli.h"

namespace polythrottle {

void ServeLog::event(const std::string& what, const std::vector<std::pair<std::string, std::string>>& about) {
  const auto now = std::chrono::system_clock::now();
  std::string line;
  if (json_) {
    nlohmann::ordered_json out{{"time", std::chrono::duration<double>(now.time_since_epoch()).count()}, {"event", what}};
    for (const auto& [name, value] : about) out[name] = value;
    line = out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  } else {
    line = fmt::format("{:%H:%M:%S} {}", fmt::localtime(std::chrono::system_clock::to_time_t(now)), what);
    const char* between = ": ";
    for (const auto& [name, value] : about) {
      line += fmt::format("{}{} {}", between, name, value);
      between = ", ";
    }
    line += "\n";
  }
  const std::lock_guard lock(mutex_);
  tell_text(line);
}

}  // namespace polythrottle
