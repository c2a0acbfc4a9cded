#include "helper/watchdog.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "knob/lease_files.h"
#include "knob/lease_record.h"
#include "knob/lease_watchdog.h"
#include "platform/platform.h"

namespace polythrottle {
namespace {

constexpr Seconds kLockPatience{60.0};
constexpr Seconds kAskAgain{0.002};  ///< at first; then twice as long each time
constexpr Seconds kAskAgainAtLeast{0.1};

void close_between(unsigned first, unsigned last) {
  if (first > last) return;
#ifdef SYS_close_range
  if (::syscall(SYS_close_range, first, last, 0) == 0) return;
#endif
  // Before Linux 5.9: one by one, as far as there can be any.
  rlimit limit{};
  constexpr rlim_t kMost = 65536;
  const rlim_t most = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min(limit.rlim_cur, kMost) : kMost;
  for (unsigned number = first; number <= last && number < most; ++number) ::close(static_cast<int>(number));
}

/// Below zero only root may go (proc(5)); then 0 may still be less than what was inherited.
void be_spared(Files& files) {
  constexpr const char* kNode = "/proc/self/oom_score_adj";
  if (!files.write(kNode, "-1000")) (void)files.write(kNode, "0");
}

/// Everything that the owner says, until `stop` is in it or it has ended.
Result<std::string> hear(int fd, std::string text, const std::string& stop) {
  char part[64];
  while (text.find(stop) == std::string::npos) {
    const ssize_t got = ::recv(fd, part, sizeof part, 0);
    if (got < 0 && errno == EINTR) continue;
    // An owner that died with something unread resets the connection.
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return text;
    if (got < 0) return tl::unexpected<Error>(system_error("listen to the owner of the machine", errno));
    text.append(part, static_cast<std::size_t>(got));
  }
  return text;
}

/// "owner 812\n": 812; 0 if that is not what it says.
long long owner_of(const std::string& text) {
  if (!text.starts_with(lease::Watchdog::kOwner)) return 0;
  return std::atoll(text.c_str() + std::string_view(lease::Watchdog::kOwner).size());
}

/// An owner whose CPU time is limited by a control group of its own starts its second watchdog inside of it. There the watchdog would be
/// in the way of the folder's removal.
void leave_made_groups(Files& files, const std::string& record_path) {
  const auto text = lease::read_file(record_path);
  const auto record = text ? parse_record(*text) : fail(Errc::kNotFound, record_path);
  if (!record) return;
  const std::string pid = std::to_string(::getpid());
  for (const auto& entry : record->knobs) {
    for (const auto& node : entry.nodes) {
      if (node.text) continue;
      std::istringstream members(files.read(node.path + "/cgroup.procs").value_or(""));
      for (std::string member; members >> member;) {
        // Refused only where nobody could move it out; then the restore reports the folder as busy.
        if (member == pid) (void)files.write(lease::folder_of(node.path) + "/cgroup.procs", pid);
      }
    }
  }
}

/// What is in files is written without looking for knobs first, which can take long where a driver has to wake a device.
Result<Recovery> bring_back(Host& host, const std::string& record_path) {
  auto recovery = recover(host, {}, record_path);
  const auto back = [](const Restored& restored) { return restored.status.has_value(); };
  if (!recovery || std::all_of(recovery->knobs.begin(), recovery->knobs.end(), back)) return recovery;
  const Machine machine = discover(host, {});
  std::vector<Knob*> knobs;
  for (const auto& knob : machine.knobs) knobs.push_back(knob.get());
  for (const auto& knob : machine.knobs_by_request) knobs.push_back(knob.get());
  return recover(host, knobs, record_path);
}

}  // namespace

void outlive_owner(int fd) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(number, SIG_IGN);
  close_between(3, static_cast<unsigned>(fd) - 1);
  close_between(std::max(3u, static_cast<unsigned>(fd) + 1), ~0U);
  (void)::prctl(PR_SET_NAME, "pt-watchdog");
}

Result<Watched> watch_owner(Host& host, const std::string& record_path, int fd) {
  be_spared(host.files);
  TRY(const std::string greeting, hear(fd, {}, "\n"));
  Watched watched{.owner = owner_of(greeting), .died = false, .recovery = {}};
  if (watched.owner <= 0) return fail(Errc::kIo, "listen to the owner of the machine: it does not say who it is");
  leave_made_groups(host.files, record_path);
  // If it is dead already we see that next.
  (void)::send(fd, &lease::Watchdog::kReady, 1, MSG_NOSIGNAL);
  TRY(const std::string said, hear(fd, greeting.substr(greeting.find('\n') + 1), lease::Watchdog::kDone));
  if (said.find(lease::Watchdog::kDone) != std::string::npos) return watched;

  watched.died = true;
  const auto until = host.clock.now() + kLockPatience;
  Seconds pause = kAskAgain;
  for (;;) {
    const auto state = look_at_record(host, record_path);
    if (state && (!*state || (*state)->kept || (*state)->pid != watched.owner)) return watched;
    auto recovery = bring_back(host, record_path);
    if (!recovery && recovery.error().code == Errc::kBusy && host.clock.now() < until) {
      host.clock.sleep_until(host.clock.now() + pause);
      pause = std::min(2.0 * pause, kAskAgainAtLeast);
      continue;
    }
    if (!recovery) return tl::unexpected<Error>(recovery.error());
    watched.recovery = std::move(*recovery);
    return watched;
  }
}

Result<Watched> guard_once(Host& host, const std::string& record_path) {
  const auto state = look_at_record(host, record_path);
  if (!state && (state.error().code == Errc::kPermission || state.error().code == Errc::kIo)) return tl::unexpected<Error>(state.error());
  Watched watched;
  if (state) {
    if (!*state || (*state)->kept || (*state)->owned || !(*state)->this_boot) return watched;
    watched.owner = (*state)->pid;
  }
  auto recovery = bring_back(host, record_path);
  if (!recovery && recovery.error().code == Errc::kBusy) return watched;
  if (!recovery) return tl::unexpected<Error>(recovery.error());
  watched.died = true;
  watched.recovery = std::move(*recovery);
  return watched;
}

}  // namespace polythrottle
