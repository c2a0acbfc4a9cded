#include "host/host.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace polythrottle {
namespace {

constexpr const char* kWhite = " \t\r\n";

/// The whole text as a decimal integer.
std::optional<long long> whole(std::string_view text) {
  long long number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || at != text.data() + text.size()) return std::nullopt;
  return number;
}

/// "0-3,5" counts 5. nullopt if it is not such a list.
std::optional<int> count_list(std::string_view list) {
  int count = 0;
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    const auto dash = item.find('-');
    const auto low = whole(item.substr(0, dash));
    const auto high = dash == std::string_view::npos ? low : whole(item.substr(dash + 1));
    if (!low || !high || *low < 0 || *high < *low) return std::nullopt;
    count += static_cast<int>(*high - *low) + 1;
  }
  return count > 0 ? std::optional(count) : std::nullopt;
}

}  // namespace

Result<std::string> read_trimmed(const Files& files, const std::string& path) {
  TRY(std::string text, files.read(path));
  const auto first = text.find_first_not_of(kWhite);
  if (first == std::string::npos) return std::string();
  return text.substr(first, text.find_last_not_of(kWhite) - first + 1);
}

Result<long long> read_integer(const Files& files, const std::string& path) {
  TRY(const std::string text, read_trimmed(files, path));
  const auto number = whole(text);
  if (!number) return fail(Errc::kCorrupt, "read " + path + ": \"" + text + "\" is not an integer");
  return *number;
}

Result<int> online_cpus(const Files& files) {
  if (const auto list = read_trimmed(files, "/sys/devices/system/cpu/online")) {
    if (const auto count = count_list(*list)) return *count;
    return fail(Errc::kCorrupt, "read /sys/devices/system/cpu/online: \"" + *list + "\" is not a list of CPUs");
  }
  TRY(const std::string stat, files.read("/proc/stat"));
  int count = 0;
  // The first line, "cpu ", is the sum; each CPU that is online follows as "cpuN ".
  for (std::size_t at = stat.find("\ncpu"); at != std::string::npos; at = stat.find("\ncpu", at + 1)) ++count;
  if (count == 0) return fail(Errc::kCorrupt, "read /proc/stat: it names no CPU");
  return count;
}

}  // namespace polythrottle
