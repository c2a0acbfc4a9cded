#include "cli/borrow.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "cli/cli.h"
#include "cli/signals.h"
#include "knob/cooling.h"
#include "platform/platform.h"
#include "report/report.h"

namespace polythrottle {
namespace {

/// Facts that no knob sets and no reboot takes away.
constexpr const char* kLasting[] = {"power_mode"};

std::map<std::string, std::string> lasting_facts(const Host& host) {
  std::map<std::string, std::string> out;
  const auto facts = machine_facts(host);
  for (const char* name : kLasting) {
    if (const auto fact = facts.find(name); fact != facts.end()) out.insert(*fact);
  }
  return out;
}

std::string describe_owner(const LeaseState& left) {
  return fmt::format("process {}{}", left.pid, left.command.empty() ? "" : " (" + left.command + ")");
}

/// Of a record of another boot.
std::vector<std::string> describe_reboot(Host& host, const LeaseState& left, const std::vector<Restored>& restored) {
  std::vector<std::string> lines;
  if (left.kept) {
    lines.push_back(
        fmt::format("The machine was rebooted: {} of {}, kept on purpose, is no longer in force.", left.kept->config, left.kept->source));
  } else {
    lines.push_back(fmt::format("The machine was rebooted since {} moved its settings; nothing is written back.", describe_owner(left)));
  }
  const auto line = [&](const std::string& name, const std::string& before, const std::string& now, bool same) {
    lines.push_back(fmt::format("{}  found {} before the reboot, now {}: {}", name, before, now, same ? "same" : "differs"));
  };
  for (const auto& r : restored) {
    if (r.moved) line(r.knob, knob_text(r.knob, r.found), knob_text(r.knob, r.now), r.same);
  }
  const auto facts = lasting_facts(host);
  for (const auto& [name, before] : left.notes) {
    const auto now = facts.find(name);
    line(name, before, now == facts.end() ? "unknown" : now->second, now != facts.end() && now->second == before);
  }
  return lines;
}

/// With persistence mode off an NVIDIA driver forgets locks and limits when the last program that uses it ends (nvml.h,
/// nvmlDeviceSetPersistenceMode): as a rule, this one.
Status stays_without_us(const Files& files, const Knob& knob) {
  constexpr std::string_view kMount = "/nvml/";
  for (const auto& path : knob.paths()) {
    if (!path.starts_with(kMount)) continue;
    const std::string gpu = path.substr(0, path.find('/', kMount.size()));
    if (read_trimmed(files, gpu + "/persistence_mode").value_or("1") != "0") continue;
    return fail(
        Errc::kUnsupported,
        fmt::format("keep {}: with persistence mode off the NVIDIA driver forgets it when this program ends", knob.parameter().name),
        "'nvidia-smi -pm 1' turns it on");
  }
  return {};
}

}  // namespace

LeaseOptions lease_options(ThisMachine& here) {
  LeaseOptions options{.record_path = here.record_path()};
  options.watchdog = {"/proc/self/exe"};
  if (!here.sysroot().empty()) options.watchdog.insert(options.watchdog.end(), {"--sysroot", here.sysroot()});
  options.watchdog.insert(options.watchdog.end(), {"watchdog", "--record", options.record_path});
  options.notes = lasting_facts(here.host());
  return options;
}

Result<std::unique_ptr<Lease>> borrow(Host& host, std::vector<Knob*> knobs, LeaseOptions options) {
  const bool simulated = options.watchdog.empty();
  TRY_STATUS(cool_enough(host.files, knobs));
  TRY(auto lease, Lease::take(host, std::move(knobs), std::move(options)));
  if (!simulated) set_at_once(lease->watched() ? AtOnce::kWatched : AtOnce::kLeft);
  return lease;
}

bool give_back(Lease& lease) {
  bool whole = true;
  for (const auto& restored : lease.restore()) {
    if (restored.status) continue;
    whole = false;
    complain(not_restored(restored), kExitFailure);
  }
  if (whole) set_at_once(AtOnce::kNothingHeld);
  return whole;
}

Error not_restored(const Restored& restored) {
  const Error& why = restored.status.error();
  return {why.code, fmt::format("{} was not restored to {}: {}", restored.knob, knob_text(restored.knob, restored.found), why.what),
          why.hint.empty() ? "'polythrottle restore' tries again" : why.hint + "; 'polythrottle restore' tries again"};
}

bool GiveBack::now() {
  Lease* const lease = std::exchange(lease_, nullptr);
  return lease == nullptr || give_back(*lease);
}

std::vector<Knob*> all_knobs(const Machine& machine) {
  std::vector<Knob*> all;
  for (const auto* list : {&machine.knobs, &machine.knobs_by_request}) {
    for (const auto& knob : *list) all.push_back(knob.get());
  }
  return all;
}

Result<Recovery> recover_all(Host& host, const std::string& record_path, const RecoverOptions& options) {
  // Without a record it is not worth the look at every knob.
  if (const auto left = look_at_record(host, record_path); left && !*left) return Recovery();
  const Machine machine = discover(host, {});
  set_at_once(AtOnce::kLeft);
  auto recovery = recover(host, all_knobs(machine), record_path, options);
  const auto refused = [](const Restored& restored) { return !restored.status; };
  if (!recovery || std::none_of(recovery->knobs.begin(), recovery->knobs.end(), refused)) set_at_once(AtOnce::kNothingHeld);
  if (!recovery || recovery->knobs.empty()) return recovery;
  // What was left may have hidden a knob, or levels of it: cores that were off.
  const Machine whole = discover(host, {});
  for (auto* knob : all_knobs(whole)) {
    for (auto& restored : recovery->knobs) {
      if (restored.knob != knob->parameter().name) continue;
      if (const auto now = knob->read()) restored.now = *now;
    }
  }
  return recovery;
}

Result<bool> bring_back_leftovers(Host& host, const std::string& record_path, const LeftoverOptions& options) {
  const auto left = look_at_record(host, record_path);
  TRY(const auto recovery, recover_all(host, record_path, {.undo_kept = options.undo_kept}));
  if (!options.quiet && !recovery.knobs.empty()) {
    for (const auto& line : describe_recovery(host, left.value_or(std::nullopt), recovery.knobs)) tell("{}\n", line);
  }
  for (const auto& r : recovery.knobs) {
    if (!r.status) return tl::unexpected<Error>(not_restored(r));
  }
  TRY_STATUS(recovery.record);
  return !recovery.knobs.empty();
}

std::string leftovers_note(Host& host, const std::string& record_path) {
  const auto left = look_at_record(host, record_path).value_or(std::nullopt);
  if (!left || !left->this_boot) return {};
  if (left->kept) {
    return fmt::format("{} is in force, and the levels above may be cut short by it; 'polythrottle restore' undoes it",
                       kept_text(*left->kept, host.clock.wall_seconds()));
  }
  if (left->owned) return describe_owner(*left) + " holds the machine now, and the levels above may be cut short by what it has set";
  return fmt::format("settings of {} are still in force, and the levels above may be cut short by them; a run puts them back first",
                     describe_owner(*left));
}

std::vector<std::string> describe_recovery(Host& host, const std::optional<LeaseState>& left, const std::vector<Restored>& restored) {
  if (left && !left->this_boot) return describe_reboot(host, *left, restored);
  std::vector<std::string> lines;
  if (left && left->kept) {
    lines.push_back(fmt::format("Undone: {}.", kept_text(*left->kept, host.clock.wall_seconds())));
  } else if (left) {
    lines.push_back(fmt::format("Left by {}, which ended without giving the machine back:", describe_owner(*left)));
  }
  for (const auto& r : restored) {
    if (!r.status) continue;
    lines.push_back(fmt::format("{}  found {}, now {}, {}", r.knob, knob_text(r.knob, r.found), knob_text(r.knob, r.now),
                                r.written ? "restored" : "never moved"));
  }
  return lines;
}

Result<Kept> keep_in_place(Host& host, Lease& lease, std::span<Knob* const> knobs, const Config& config, const std::string& source) {
  Kept kept;
  for (auto* knob : knobs) {
    const std::string& name = knob->parameter().name;
    const auto wanted = config.get(name);
    if (!wanted) continue;
    TRY_STATUS(stays_without_us(host.files, *knob));
    TRY(const auto nodes, knob->found_nodes());
    const bool stays = std::any_of(nodes.begin(), nodes.end(), [](const auto& node) { return node.text.has_value(); });
    (stays ? kept.in_place : kept.ended).set(name, *wanted);
  }
  if (kept.in_place.empty()) return fail(Errc::kInvalid, "keep " + setting_text(config) + ": nothing of it outlives this program");
  TRY(const Config now, lease.apply(kept.in_place));
  for (const auto& [name, wanted] : kept.in_place.entries()) {
    const auto got = now.get(name);
    if (got == wanted) continue;
    return fail(Errc::kIo,
                fmt::format("keep {}={}: the machine reports {}", name, knob_text(name, wanted), got ? knob_text(name, *got) : "nothing"),
                "another program or the firmware may be holding it");
  }
  TRY_STATUS(lease.keep({.source = source, .config = setting_text(kept.in_place), .time = host.clock.wall_seconds()}));
  set_at_once(AtOnce::kNothingHeld);
  return kept;
}

}  // namespace polythrottle
