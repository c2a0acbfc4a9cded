#include "knob/lease_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
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

/// Nobody else may open the file: flock(2) asks for no right to write, so that any reader could hold the machine for ever.
void make_private(int file) {
  struct stat info {};
  if (::fstat(file, &info) != 0 || (info.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
  // Refused for a file of another user, and on a disk that takes no writes: then it stays as it is.
  (void)::fchmod(file, S_IRUSR | S_IWUSR);
}

/// Whoever gives the machine back does so also where nothing can be written: a disk that has turned read-only.
Descriptor open_lock(const std::string& path, bool gives_back) {
  constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | kFlags, S_IRUSR | S_IWUSR));
  if (file.number() >= 0 || !gives_back) return file;
  const int refused = errno;
  file = Descriptor(::open(path.c_str(), O_RDONLY | kFlags));
  errno = refused;
  return file;
}

}  // namespace

Result<Lock> Lock::take(Host& host, const std::string& record_path, bool gives_back) {
  const std::string path = record_path + ".lock";
  Descriptor file = open_lock(path, gives_back);
  if (file.number() < 0) return tl::unexpected<Error>(system_error("open " + path, errno));
  make_private(file.number());
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
  // The lock holds without it: on a full or read-only disk who comes second is not told a name.
  if (::ftruncate(file.number(), 0) == 0) (void)!::pwrite(file.number(), text.data(), text.size(), 0);
  return Lock(std::move(file));
}

Lock::~Lock() {
  if (file_.number() < 0) return;
  // Only so that people see an empty file: the lock itself goes with the descriptor.
  if (::ftruncate(file_.number(), 0) != 0) {
  }
}

}  // namespace polythrottle::lease
