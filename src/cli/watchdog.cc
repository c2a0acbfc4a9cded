// polythrottle watchdog: the process that puts the machine back when its owner has died. Started by a lease, or by systemd as a guard.

#include "helper/watchdog.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "cli/borrow.h"
#include "cli/cli.h"
#include "cli/signals.h"
#include "cli/this_machine.h"
#include "report/report.h"

namespace polythrottle {
namespace {

/// How often a guard looks; and how long it leaves a machine alone at most that refuses to be put back.
constexpr Seconds kLook{0.5};
constexpr Seconds kLongestPause{60.0};

/// One line: what was put back for whom, and what was not.
std::string describe(const Watched& watched) {
  std::string back, refused;
  for (const auto& r : watched.recovery.knobs) {
    if (!r.status) {
      refused += fmt::format("{}{}", refused.empty() ? "" : "; ", not_restored(r).what);
    } else if (r.written) {
      back += fmt::format("{}{}={}", back.empty() ? "" : " ", r.knob, knob_text(r.knob, r.found));
    }
  }
  if (!refused.empty()) refused = "; " + refused + "; 'polythrottle restore' tries again";
  if (!watched.recovery.record) refused += "; " + watched.recovery.record.error().text();
  return fmt::format("process {} died; the watchdog restored {}{}", watched.owner, back.empty() ? "nothing" : back, refused);
}

/// Nothing to say where nothing was moved.
bool worth_a_line(const Watched& watched) {
  const auto& knobs = watched.recovery.knobs;
  return !watched.recovery.record || std::any_of(knobs.begin(), knobs.end(), [](const auto& r) { return r.moved; });
}

int watch(const std::string& sysroot, const std::string& record_path, int fd) {
  set_at_once(AtOnce::kDeaf);
  outlive_owner(fd);
  ThisMachine here(sysroot);
  const auto watched = watch_owner(here.host(), record_path, fd);
  if (!watched) return complain(watched.error(), kExitFailure);
  if (worth_a_line(*watched)) tell("polythrottle: {}\n", describe(*watched));
  return watched->recovery.whole() ? kExitOk : kExitFailure;
}

int guard(const std::string& sysroot, const std::string& record_path, const std::stop_token& stop) {
  const auto clock = real_clock();
  Seconds pause = kLook;
  std::string said;  // the same complaint is made once
  // Whose settings are back although the record could not be removed: what is set from then on is not his, and is left alone.
  std::pair<long long, double> done{0, 0.0};  // process and start
  while (!stop.stop_requested()) {
    // Each time anew: a GPU or its driver may have come or gone since.
    ThisMachine here(sysroot);
    const auto left = look_at_record(here.host(), record_path).value_or(std::nullopt).value_or(LeaseState());
    const std::pair whose(left.pid, left.started);
    const auto watched = left.pid != 0 && whose == done ? Watched() : guard_once(here.host(), record_path);
    if (watched && watched->died && !watched->recovery.record) done = whose;
    const bool good = watched && watched->recovery.whole();
    std::string line = !watched ? watched.error().text() : worth_a_line(*watched) ? describe(*watched) : std::string();
    if (!line.empty() && (good || line != said)) tell("polythrottle: {}\n", line);
    said = good ? std::string() : std::move(line);
    pause = good ? kLook : std::min(2.0 * pause, kLongestPause);
    const auto until = clock->now() + pause;
    while (!stop.stop_requested() && clock->now() < until) clock->sleep_until(std::min(until, clock->now() + kLook));
  }
  return kExitOk;
}

}  // namespace

void add_watchdog(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("watchdog", "Puts the machine back when the process that borrowed it has died");
  command->group("");  // for programs, not for people: docs/safety.md
  auto fd = std::make_shared<int>(-1);
  auto record = std::make_shared<std::string>();
  auto guards = std::make_shared<bool>(false);
  auto* started = command->add_option("--fd", *fd, "Watch the process at the other end of this socket")->check(CLI::Range(3, 1 << 20));
  command->add_option("--record", *record, "Lease record (default: this machine's)");
  command->add_flag("--guard", *guards, "Watch whoever leaves a record, until SIGTERM")->excludes(started);
  command->callback([=, &cli] {
    const std::string path = record->empty() ? ThisMachine(cli.sysroot).record_path() : *record;
    if (*fd >= 0) {
      cli.exit_code = watch(cli.sysroot, path, *fd);
    } else if (*guards) {
      cli.exit_code = guard(cli.sysroot, path, cli.stop);
    } else {
      cli.exit_code = complain(Error{Errc::kInvalid, "watchdog needs --guard, or --fd from a lease", {}}, kExitUsage);
    }
  });
}

}  // namespace polythrottle
