#include "host/process_group.h"

#include <dirent.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

namespace polythrottle {
namespace {

struct Stat {
  char state = 0;
  pid_t group = 0;
  Seconds children{0};  ///< CPU time of those waited for
};

std::optional<Stat> read_stat(pid_t pid) {
  const int file = ::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;  // it has ended meanwhile
  char text[1024];
  const ssize_t size = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (size <= 0) return std::nullopt;
  text[size] = '\0';
  // The name may hold anything, closing brackets too; what follows the last one does not.
  const char* rest = std::strrchr(text, ')');
  if (rest == nullptr) return std::nullopt;
  Stat out;
  unsigned long user = 0, system = 0;
  long children_user = 0, children_system = 0;
  if (std::sscanf(rest + 1, " %c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &out.state, &out.group, &user, &system,
                  &children_user, &children_system) != 6) {
    return std::nullopt;
  }
  static const double kTick = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  out.children = Seconds(kTick * static_cast<double>(children_user + children_system));
  return out;
}

}  // namespace

ProcessGroup::State ProcessGroup::now() const {
  State out;
  for (const pid_t pid : members_) {
    const auto stat = read_stat(pid);
    if (!stat || stat->group != group_) continue;
    if (stat->state != 'Z' && stat->state != 'X') ++out.running;
    out.cpu_time += stat->children;
    clockid_t clock{};
    timespec own{};
    if (::clock_getcpuclockid(pid, &clock) == 0 && ::clock_gettime(clock, &own) == 0) {
      out.cpu_time += Seconds(static_cast<double>(own.tv_sec) + static_cast<double>(own.tv_nsec) * 1e-9);
    }
  }
  return out;
}

void ProcessGroup::find() {
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return;
  members_.clear();
  while (const dirent* entry = ::readdir(folder)) {
    const char* end = entry->d_name + std::strlen(entry->d_name);
    pid_t pid = 0;
    if (std::from_chars(entry->d_name, end, pid).ptr != end) continue;
    if (const auto stat = read_stat(pid); stat && stat->group == group_) members_.push_back(pid);
  }
  ::closedir(folder);
}

}  // namespace polythrottle
