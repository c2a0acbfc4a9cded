#include "knob/lease_process.h"

#include <algorithm>
#include <ctime>
#include <sstream>

namespace polythrottle::lease {

std::optional<ProcessState> look_at_process(const Files& files, long long pid) {
  const auto text = files.read("/proc/" + std::to_string(pid) + "/stat");
  if (!text) return std::nullopt;
  // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
  const auto close = text->rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream words(text->substr(close + 1));
  ProcessState process;
  std::string word;
  words >> process.state;  // field 3
  for (int field = 4; field <= 21; ++field) words >> word;
  if (!(words >> process.start)) return std::nullopt;
  return process;
}

bool is_alive(const Files& files, long long pid, long long start) {
  const auto process = look_at_process(files, pid);
  return process && process->start == start && process->state != 'Z' && process->state != 'X';
}

std::string own_command(const Files& files) {
  constexpr std::size_t kMost = 200;
  std::string text = files.read("/proc/self/cmdline").value_or("");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  // The program's name without its folder.
  const auto program_end = std::min(text.find('\0'), text.size());
  if (const auto slash = text.substr(0, program_end).rfind('/'); slash != std::string::npos) text.erase(0, slash + 1);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

std::string boot_id(const Files& files) { return read_trimmed(files, "/proc/sys/kernel/random/boot_id").value_or(""); }

std::string clock_text(double when, double now) {
  const auto local = [](double seconds) {
    const auto whole = static_cast<std::time_t>(std::clamp(seconds, 0.0, 4e9));
    std::tm out{};
    localtime_r(&whole, &out);
    return out;
  };
  const std::tm then = local(when), today = local(now);
  const bool same_day = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
  char text[32];
  std::strftime(text, sizeof text, same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then);
  return text;
}

}  // namespace polythrottle::lease
