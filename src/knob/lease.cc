#include "knob/lease.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "knob/lease_files.h"
#include "knob/lease_lock.h"
#include "knob/lease_process.h"
#include "knob/lease_put_back.h"
#include "knob/lease_record.h"
#include "knob/lease_watchdog.h"

namespace polythrottle {
namespace {

using namespace lease;

/// A limit of cpufreq is taken in force in a work queue, behind the write that asked for it (drivers/cpufreq/cpufreq.c, handle_update), so
/// that a read straight after it may show the one before; on a busy machine that takes milliseconds.
constexpr Seconds kSettling{0.5};
constexpr Seconds kLookAgain{0.005};

/// What a lease holds besides the knobs.
struct Hold {
  LeaseOptions options;
  LeaseRecord record;  ///< knobs in the order in which they were given
  std::optional<Lock> lock;
  std::unique_ptr<Watchdog> watchdog;
};

class RealLease : public Lease {
 public:
  RealLease(Host& host, std::vector<Knob*> knobs, Config found, Hold hold)
      : host_(host), knobs_(std::move(knobs)), found_(std::move(found)), hold_(std::move(hold)) {}
  ~RealLease() override {
    (void)restore();
    // What is refused even now was told to the caller, and the record stays: a third try by the watchdog would only be one behind his back.
    if (!done_) let_go();
  }
  RealLease(const RealLease&) = delete;
  RealLease& operator=(const RealLease&) = delete;

  const Config& found() const override { return found_; }
  bool watched() const override { return hold_.watchdog != nullptr && hold_.watchdog->alive(); }
  pid_t watchdog() const override { return watched() ? hold_.watchdog->pid() : 0; }

  Result<Config> apply(const Config& config) override {
    if (done_) return given_away();
    TRY_STATUS(see_to_the_watchdog());
    std::vector<const KnobGroup*> written;
    bool moved = false;
    for (std::size_t i = 0; i < knobs_.size(); ++i) {
      KnobGroup* const group = knobs_[i]->group();
      if (group == nullptr) {
        TRY(const auto changes, changes_of(config, {i}));
        if (changes.empty()) continue;
        TRY_STATUS(note(changes));
        TRY_STATUS(knobs_[i]->write(changes.entries().front().second));
        moved = true;
      } else if (std::find(written.begin(), written.end(), group) == written.end()) {
        written.push_back(group);
        std::vector<std::size_t> members;
        for (std::size_t k = i; k < knobs_.size(); ++k) {
          if (knobs_[k]->group() == group) members.push_back(k);
        }
        TRY(const auto changes, changes_of(config, members));
        if (changes.empty()) continue;
        TRY_STATUS(note(changes));
        TRY_STATUS(group->write(changes));
        moved = true;
      }
    }
    return moved ? now_with_patience(config) : now();
  }

  Result<Config> now() override {
    Config got;
    for (auto* knob : knobs_) {
      TRY(const Value value, knob->read());
      got.set(knob->parameter().name, value);
    }
    return got;
  }

  std::vector<Restored> restore() override {
    if (done_) return report_;
    const auto place = [&](std::size_t i) { return knobs_.size() - 1 - i; };
    std::vector<Restored> report;
    for (std::size_t i = 0; i < knobs_.size(); ++i) {
      const RecordEntry& entry = hold_.record.knobs[place(i)];
      const bool moved = entry.asked.has_value();
      report.push_back({.knob = entry.name, .found = entry.found, .now = {}, .moved = moved, .written = moved, .status = {}});
    }
    put_back_all(report, [&](std::size_t i) { return put_back(place(i)); });
    for (std::size_t i = 0; i < report.size(); ++i) look(host_.files, knobs_[place(i)], hold_.record.knobs[place(i)], report[i]);
    report_ = report;
    if (!all_back(report)) return report;
    // If the record cannot be removed, a later run finds it and writes the same values once more: no harm.
    if (!knobs_.empty()) (void)remove_file(hold_.options.record_path);
    let_go();
    return report;
  }

  Status keep(const KeptWords& words) override {
    if (done_) return given_away();
    if (knobs_.empty()) return fail(Errc::kInvalid, "keep the machine's settings: this lease has none");
    LeaseRecord kept = hold_.record;
    kept.kept = words;
    for (std::size_t i = 0; i < knobs_.size(); ++i) {
      if (!kept.knobs[i].asked || has_text(kept.knobs[i])) continue;
      TRY_STATUS(put_back(i));
      kept.knobs[i].asked.reset();
    }
    const bool any = std::any_of(kept.knobs.begin(), kept.knobs.end(), [](const auto& entry) { return entry.asked.has_value(); });
    if (!any) return fail(Errc::kInvalid, "keep the machine's settings: none was moved that outlives this process");
    TRY_STATUS(write_file(hold_.options.record_path, record_text(kept)));
    report_.clear();
    let_go();
    return {};
  }

 private:
  /// What is read once everything reads as asked for, or else in the end.
  Result<Config> now_with_patience(const Config& config) {
    const auto as_asked = [&](const Config& got) {
      return std::all_of(got.entries().begin(), got.entries().end(), [&](const auto& entry) {
        const auto wanted = config.get(entry.first);
        return !wanted || *wanted == entry.second;
      });
    };
    TRY(Config got, now());
    const auto until = host_.clock.now() + kSettling;
    while (!as_asked(got) && host_.clock.now() < until) {
      host_.clock.sleep_until(host_.clock.now() + kLookAgain);
      TRY(got, now());
    }
    return got;
  }

  static tl::unexpected<Error> given_away() { return fail(Errc::kInvalid, "change the machine: this lease has ended"); }

  /// From here on the machine is nobody's, or whoever finds the record's.
  void let_go() {
    if (hold_.watchdog) hold_.watchdog->release();
    hold_.watchdog.reset();
    hold_.lock.reset();
    done_ = true;
  }

  Status see_to_the_watchdog() {
    if (hold_.options.watchdog.empty() || knobs_.empty() || watched()) return {};
    auto started = Watchdog::start(hold_.options.watchdog);
    if (!started) {
      started.error().code = Errc::kIo;  // as for the record: no knob has refused anything
      return tl::unexpected<Error>(started.error());
    }
    hold_.watchdog = std::move(*started);
    return {};
  }

  Status put_back(std::size_t i) {
    const RecordEntry& entry = hold_.record.knobs[i];
    return has_text(entry) ? put_back_nodes(host_, entry) : put_back_value(*knobs_[i], entry.found);
  }

  /// What of `config` has to be written to these knobs.
  Result<Config> changes_of(const Config& config, const std::vector<std::size_t>& places) const {
    Config changes;
    for (const std::size_t i : places) {
      const std::string& name = knobs_[i]->parameter().name;
      const auto wanted = config.get(name);
      if (!wanted) continue;
      TRY(const Value present, knobs_[i]->read());
      // The same value found is not enough: a ganged knob whose parts differ also reads as one value.
      if (hold_.record.knobs[i].asked != wanted || present != *wanted) changes.set(name, *wanted);
    }
    return changes;
  }

  /// Says in the record that these are about to be moved. That they were is what counts later, so that only the first time costs a write to
  /// the disk.
  Status note(const Config& changes) {
    LeaseRecord renewed = hold_.record;
    bool first = false;
    for (auto& entry : renewed.knobs) {
      const auto wanted = changes.get(entry.name);
      if (!wanted) continue;
      first = first || !entry.asked;
      entry.asked = wanted;
    }
    if (first) {
      if (auto written = write_file(hold_.options.record_path, record_text(renewed)); !written) {
        // Of our own disk: whatever it answers, no knob has refused anything.
        written.error().code = Errc::kIo;
        return written;
      }
    }
    hold_.record = std::move(renewed);
    return {};
  }

  Host& host_;
  std::vector<Knob*> knobs_;
  Config found_;
  Hold hold_;
  bool done_ = false;
  std::vector<Restored> report_;
};

/// A record that is there belongs to somebody else.
Status check_free(Host& host, const std::string& record_path) {
  if (!exists(record_path)) return {};
  const auto state = look_at_record(host, record_path);
  if (state && *state && (*state)->kept) {
    return fail(Errc::kBusy, "take the machine: it holds " + kept_text(*(*state)->kept, host.clock.wall_seconds()),
                "'polythrottle restore' undoes it");
  }
  return fail(Errc::kCorrupt, "take the machine: an earlier run left its record " + record_path,
              "bring its settings back first: 'polythrottle restore'");
}

}  // namespace

Result<std::unique_ptr<Lease>> Lease::take(Host& host, std::vector<Knob*> knobs, LeaseOptions options) {
  Config found;
  Hold hold{.options = std::move(options), .record = {}, .lock = {}, .watchdog = {}};
  if (knobs.empty()) return std::make_unique<RealLease>(host, std::move(knobs), std::move(found), std::move(hold));

  const std::string& path = hold.options.record_path;
  TRY_STATUS(make_folders(folder_of(path)));
  TRY_STATUS(check_folder(folder_of(path)));
  TRY(hold.lock, Lock::take(host, path));
  TRY_STATUS(check_free(host, path));
  LeaseRecord& record = hold.record;
  record.boot_id = boot_id(host.files);
  record.pid = ::getpid();
  record.pid_start = look_at_process(host.files, record.pid).value_or(ProcessState{}).start;
  record.started = host.clock.wall_seconds();
  record.command = own_command(host.files);
  record.notes = hold.options.notes;
  for (auto* knob : knobs) {
    TRY(const Value value, knob->read());
    TRY(auto nodes, knob->found_nodes());
    found.set(knob->parameter().name, value);
    record.knobs.push_back({.name = knob->parameter().name, .found = value, .asked = std::nullopt, .nodes = std::move(nodes)});
  }
  const std::string text = record_text(record);
  // What could not be read again would be of no use after a kill.
  if (const auto readable = parse_record(text); !readable) {
    return fail(Errc::kInvalid, "write the lease record: a knob's name, value or node cannot stand in one");
  }
  if (!hold.options.watchdog.empty()) {
    TRY(hold.watchdog, Watchdog::start(hold.options.watchdog));
  }
  if (auto written = write_file(path, text); !written) {
    (void)remove_file(path);
    if (hold.watchdog) hold.watchdog->release();
    return tl::unexpected<Error>(written.error());
  }
  return std::make_unique<RealLease>(host, std::move(knobs), std::move(found), std::move(hold));
}

std::string default_record_path(const std::string& sysroot) {
  constexpr const char* kOnDisk = "/var/lib/polythrottle/lease.json";
  if (!sysroot.empty() || ::geteuid() == 0) return sysroot + kOnDisk;
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && runtime[0] == '/') {
    return std::string(runtime) + "/polythrottle/lease.json";
  }
  return "/tmp/polythrottle-" + std::to_string(::geteuid()) + "/lease.json";
}

}  // namespace polythrottle
