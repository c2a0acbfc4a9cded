#include "knob/lease_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "knob/lease_process.h"

namespace polythrottle::lease {
namespace {

/// How long to wait for somebody who is giving the machine back, and how often to ask.
constexpr Seconds kPatience{5.0};
constexpr Seconds kAskAgain{0.005};

constexpr const char* kHolds = "holds";
constexpr const char* kGivesBack = "gives-back";

/// The line in the file: PID START WORD COMMAND.
struct Holder {
  long long pid = 0;
  double since = 0.0;  ///< Unix seconds
  std::string word;
  std::string command;
};

Holder read_holder(const std::string& path) {
  std::istringstream line(read_file(path).value_or(""));
  Holder holder;
  line >> holder.pid >> holder.since >> holder.word >> std::ws;
  std::getline(line, holder.command);
  return holder;
}

tl::unexpected<Error> busy(const Holder& holder, double now) {
  if (holder.pid == 0) return fail(Errc::kBusy, "take the machine: another process holds it", "try again");
  const std::string who = "process " + std::to_string(holder.pid) + (holder.command.empty() ? "" : " (" + holder.command + ")");
  return fail(Errc::kBusy,
              "take the machine: " + who + (holder.word == kGivesBack ? " has been giving it back" : " holds it") + " since " +
                  clock_text(holder.since, now),
              "wait for it to end, or stop it: it gives the machine back");
}

}  // namespace

Result<Lock> Lock::take(Host& host, const std::string& record_path, bool gives_back) {
  const std::string path = record_path + ".lock";
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (file.number() < 0) return tl::unexpected<Error>(system_error("open " + path, errno));
  const auto until = host.clock.now() + kPatience;
  while (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return tl::unexpected<Error>(system_error("lock " + path, errno));
    const Holder holder = read_holder(path);
    // Without a word in it its holder has just come, or is just leaving.
    const bool leaves_soon = holder.word == kGivesBack || holder.word.empty();
    if (!leaves_soon || host.clock.now() >= until) return busy(holder, host.clock.wall_seconds());
    host.clock.sleep_until(host.clock.now() + kAskAgain);
  }
  std::ostringstream line;
  line << ::getpid() << ' ' << static_cast<long long>(host.clock.wall_seconds()) << ' ' << (gives_back ? kGivesBack : kHolds) << ' '
       << own_command(host.files) << '\n';
  const std::string text = line.str();
  if (::ftruncate(file.number(), 0) != 0 || ::pwrite(file.number(), text.data(), text.size(), 0) < 0) {
    return tl::unexpected<Error>(system_error("write " + path, errno));
  }
  return Lock(std::move(file));
}

Lock::~Lock() {
  if (file_.number() < 0) return;
  // Only so that people see an empty file: the lock itself goes with the descriptor.
  if (::ftruncate(file_.number(), 0) != 0) {
  }
}

}  // namespace polythrottle::lease
