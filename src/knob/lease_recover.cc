// What an earlier run left: looked at, and brought back.

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "knob/lease.h"
#include "knob/lease_files.h"
#include "knob/lease_lock.h"
#include "knob/lease_process.h"
#include "knob/lease_put_back.h"
#include "knob/lease_record.h"

namespace polythrottle {
namespace {

using namespace lease;

constexpr const char* kPreviousBoot = ".previous-boot";

Result<LeaseRecord> read_record(const std::string& path) {
  TRY(const std::string text, read_file(path));
  auto record = parse_record(text);
  if (!record) record.error().what = "read the lease record " + path + ": " + record.error().what;
  return record;
}

bool is_of_this_boot(const Files& files, const LeaseRecord& record) { return record.boot_id == boot_id(files); }

bool is_owned(const Files& files, const LeaseRecord& record) {
  return !record.kept && is_of_this_boot(files, record) && is_alive(files, record.pid, record.pid_start);
}

/// What cannot be understood must not stop the work for ever, nor be lost.
tl::unexpected<Error> set_aside(const std::string& path, const Error& why) {
  const auto aside = put_aside(path);
  if (!aside) return tl::unexpected<Error>(aside.error());
  return fail(Errc::kCorrupt, why.what,
              "it was moved to " + *aside + "; settings of an earlier run may still be in force: compare or reboot");
}

/// Null where this machine has no such knob now.
Knob* find_knob(std::span<Knob* const> knobs, const std::string& name) {
  const auto at = std::find_if(knobs.begin(), knobs.end(), [&](const Knob* knob) { return knob->parameter().name == name; });
  return at == knobs.end() ? nullptr : *at;
}

/// The record has done its work; that it cannot go changes nothing of what was done.
Status see_off(Status gone, const std::string& path, const std::string& done) {
  if (gone) return gone;
  return fail(gone.error().code, done + ", but the record " + path + " stays: " + gone.error().what,
              "make its file system writable; then 'polythrottle restore' removes it");
}

}  // namespace

bool Recovery::whole() const { return record && all_back(knobs); }

Result<std::optional<LeaseState>> look_at_record(Host& host, const std::string& record_path) {
  if (!exists(record_path)) return std::nullopt;
  auto record = read_record(record_path);
  // Somebody gave the machine back in this moment.
  if (!record && record.error().code == Errc::kNotFound) return std::nullopt;
  if (!record) return tl::unexpected<Error>(record.error());
  LeaseState state{.pid = record->pid,
                   .command = record->command,
                   .started = record->started,
                   .owned = is_owned(host.files, *record),
                   .this_boot = is_of_this_boot(host.files, *record),
                   .kept = record->kept,
                   .notes = record->notes,
                   .moved = {}};
  for (const auto& entry : record->knobs) {
    if (entry.asked) state.moved.push_back(entry.name);
  }
  return state;
}

std::string kept_text(const KeptWords& kept, double now) {
  return kept.config + " of " + kept.source + ", kept since " + clock_text(kept.time, now);
}

Result<Recovery> recover(Host& host, std::span<Knob* const> knobs, const std::string& record_path, const RecoverOptions& options) {
  if (!exists(record_path)) return Recovery();
  TRY_STATUS(check_folder(folder_of(record_path)));
  TRY(const Lock lock, Lock::take(host, record_path, true));
  if (!exists(record_path)) return Recovery();
  const auto record = read_record(record_path);
  if (!record) return set_aside(record_path, record.error());

  const bool this_boot = is_of_this_boot(host.files, *record);
  // The lock says so already, unless somebody removed its file. Our own number means a lease of ours that could not restore.
  if (is_owned(host.files, *record) && record->pid != ::getpid()) {
    return fail(Errc::kBusy, "recover the machine: process " + std::to_string(record->pid) + " holds it",
                "wait for it to end, or stop it: it gives the machine back");
  }
  if (record->kept && this_boot && !options.undo_kept) {
    return fail(Errc::kBusy, "recover the machine: it holds " + kept_text(*record->kept, host.clock.wall_seconds()),
                "'polythrottle restore' undoes it");
  }
  Recovery recovery;
  std::vector<Restored>& report = recovery.knobs;
  std::vector<Knob*> present;  // as in the report
  for (auto entry = record->knobs.rbegin(); entry != record->knobs.rend(); ++entry) {
    present.push_back(find_knob(knobs, entry->name));
    Restored restored{.knob = entry->name, .found = entry->found, .now = {}, .moved = entry->asked.has_value(), .status = {}};
    if (this_boot && restored.moved) {
      restored.written = !entry->nodes.empty() || present.back() != nullptr;
      if (!restored.written) {
        restored.status =
            fail(Errc::kNotFound, "set " + entry->name + " back to " + to_text(entry->found) + ": this machine has no such knob now");
      }
    }
    report.push_back(std::move(restored));
  }
  const auto entry_of = [&](std::size_t i) -> const RecordEntry& { return record->knobs[record->knobs.size() - 1 - i]; };
  put_back_all(report, [&](std::size_t i) {
    const RecordEntry& entry = entry_of(i);
    return entry.nodes.empty() ? put_back_value(*present[i], entry.found) : put_back_nodes(host, entry);
  });
  for (std::size_t i = 0; i < report.size(); ++i) look(host.files, present[i], entry_of(i), report[i]);
  if (!this_boot) {
    const std::string kept_as = record_path + kPreviousBoot;
    Status renamed;
    if (std::rename(record_path.c_str(), kept_as.c_str()) != 0)
      renamed = tl::unexpected<Error>(system_error("rename " + record_path, errno));
    recovery.record = see_off(std::move(renamed), record_path, "the machine was rebooted and nothing is left of the run before");
  } else if (all_back(report)) {
    recovery.record = see_off(remove_file(record_path), record_path, "the machine is as it was found");
  }
  return recovery;
}

}  // namespace polythrottle
