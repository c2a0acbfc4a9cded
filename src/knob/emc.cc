// The memory clock of a Jetson (EMC, the external memory controller): held by the boot and power management processor (BPMP) where
// debugfs shows it, else capped the way nvpmodel does it.
// Sources: NVIDIA's jetson_clocks (JetPack 4, 5) and its kernel drivers nvpmodel_emc_cap and nvpmodel-clk-cap; tools of board owners for
// the patience, `state` and the order of giving back.
//
// Lock: mrq_rate_locked=1, then rate=HERTZ, as NVIDIA's jetson_clocks does on tegra186, 194 and 234; `state` is set to 1 first where it is
// not, as tuners do. The BPMP keeps only the rates of its table: anything else is rounded up or ignored without an error, so nothing else
// is written, and the rate is read until it is there. On Orin with JetPack 6 and on Thor the BPMP's bandwidth manager may move the clock
// under the lock; where it does, and only there, it is halted (bwmgr_halt=1), as owners of such boards do. A rate that never comes is
// refused: one Orin NX ran with three timing tables loaded of four, and ignored the fourth rate without a word.
//
// Given back: the rate while it is still held, then the manager, `state`, and last the lock as it was found. A low rate that stays locked
// under load is what to fear here: a restore cut off behind the rate leaves the clock held where it was found, and the same writes again
// finish from wherever it was cut. For that the manager is halted on the way: at work it might not let the rate come a second time.
//
// Cap: emc_iso_cap (JetPack 4, 5) shows the number last written, 0 for none, whether it took effect or not; nvpmodel_clk_cap/emc (JetPack
// 6) shows the cap in force, and there 0 is no "none": the number that was read is written back. Levels above a cap are left out, so the
// lock never needs one raised, and the order of cap and rate (raising: the cap first; lowering: the rate) never matters.

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "knob/emc_rates.h"
#include "knob/knob.h"
#include "knob/nvpmodel.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "mem_hz";
constexpr const char* kClock = "/sys/kernel/debug/bpmp/debug/clk/emc";
constexpr const char* kManagerHalt = "/sys/kernel/debug/bpmp/debug/bwmgr/bwmgr_halt";
constexpr const char* kCompatible = "/proc/device-tree/compatible";
/// A tool of the field waits this long before it believes that the BPMP rounded.
constexpr Seconds kPatience{1.0};
constexpr Seconds kLookAgain{0.01};

std::string number_text(double hertz) { return std::to_string(std::llround(hertz)); }

bool contains(const std::vector<double>& table, double hertz) { return std::find(table.begin(), table.end(), hertz) != table.end(); }

/// What both ways of setting the clock share: a table of rates, and values that were read once.
class MemoryClock : public Knob {
 public:
  MemoryClock(Host& host, Parameter parameter, std::vector<double> table)
      : host_(host), parameter_(std::move(parameter)), table_(std::move(table)) {}

  const Parameter& parameter() const override { return parameter_; }

  Result<Value> read() override {
    TRY(const double hertz, read_setting());
    seen_.insert(hertz);
    return Value(hertz);
  }

  Result<Value> write(const Value& wanted) override {
    const auto& levels = parameter_.levels;
    const auto* hertz = std::get_if<double>(&wanted);
    if (hertz == nullptr || (std::find(levels.begin(), levels.end(), wanted) == levels.end() && !seen_.contains(*hertz))) {
      return fail(Errc::kOutOfRange, std::string("set ") + kName + " to " + to_text(wanted) + ": not one of its levels",
                  "the lowest is " + to_text(levels.front()) + ", the highest " + to_text(levels.back()));
    }
    TRY_STATUS(write_setting(*hertz));
    return read();
  }

 protected:
  double highest_level() const { return std::get<double>(parameter_.levels.back()); }
  double meant(double hertz) const { return emc_rate_meant(table_, hertz); }
  virtual Result<double> read_setting() const = 0;
  virtual Status write_setting(double hertz) = 0;

  Host& host_;
  Parameter parameter_;
  std::vector<double> table_;  ///< all that the hardware knows, ascending; the levels may be fewer

 private:
  std::set<double> seen_;
};

Result<std::optional<double>> read_if_there(const Files& files, const std::string& path) {
  const auto number = read_integer(files, path);
  if (number) return std::optional<double>(static_cast<double>(*number));
  if (number.error().code == Errc::kNotFound) return std::optional<double>();
  return tl::unexpected<Error>(number.error());
}

class EmcLock : public MemoryClock {
 public:
  EmcLock(Host& host, Parameter parameter, std::vector<double> table, bool has_state, bool has_halt)
      : MemoryClock(host, std::move(parameter), std::move(table)), has_state_(has_state), has_halt_(has_halt) {}

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths{lock_path_, rate_path_};
    if (has_state_) paths.push_back(state_path_);
    if (has_halt_) paths.push_back(kManagerHalt);
    return paths;
  }

  Result<std::vector<FoundNode>> found_nodes() override {
    const Files& files = host_.files;
    TRY(std::string lock, files.read(lock_path_));
    TRY(const long long locked, read_integer(files, lock_path_));
    TRY(std::string rate, files.read(rate_path_));
    TRY(const long long hertz, read_integer(files, rate_path_));
    // A rate on its way between two levels cannot be gone back to. Without a lock the governor chooses anyway: from the top down.
    if (locked == 0 && !contains(table_, meant(static_cast<double>(hertz)))) rate = number_text(highest_level());
    std::vector<FoundNode> nodes{{lock_path_, "1"}};
    if (has_halt_) nodes.push_back({kManagerHalt, "1"});
    nodes.push_back({rate_path_, std::move(rate)});
    if (has_halt_) {
      TRY(std::string halt, files.read(kManagerHalt));
      nodes.push_back({kManagerHalt, std::move(halt)});
    }
    if (has_state_) {
      TRY(std::string state, files.read(state_path_));
      nodes.push_back({state_path_, std::move(state)});
    }
    nodes.push_back({lock_path_, std::move(lock)});
    return nodes;
  }

  ClockClaim claim() const override { return {.held = true}; }

  Result<std::optional<Value>> actual() override {
    TRY(const double hertz, read_rate());
    return std::optional<Value>(hertz);
  }

 private:
  /// What is held; while nothing is, how far the governor may go.
  Result<double> read_setting() const override {
    TRY(const long long locked, read_integer(host_.files, lock_path_));
    if (locked != 0) return read_rate();
    const double cap = meant(emc_cap_in_force(host_.files).value_or(table_.back()));
    double limit = table_.front();
    for (const double rate : table_) {
      if (rate <= cap) limit = rate;
    }
    return limit;
  }

  Result<double> read_rate() const {
    TRY(const long long hertz, read_integer(host_.files, rate_path_));
    if (hertz <= 0) return fail(Errc::kCorrupt, "read " + rate_path_ + ": " + std::to_string(hertz) + " Hz");
    return meant(static_cast<double>(hertz));
  }

  /// Errors beside those of the files: kUnsupported for a rate that the controller never took.
  Status write_setting(double hertz) override {
    TRY_STATUS(set_to_one(lock_path_));
    if (has_state_) TRY_STATUS(set_to_one(state_path_));
    TRY(double now, write_rate(hertz));
    if (now != hertz && has_halt_ && halt_helps_) {
      TRY(const long long halted, read_integer(host_.files, kManagerHalt));
      if (halted == 0) {
        TRY_STATUS(host_.files.write(kManagerHalt, "1"));
        TRY(now, write_rate(hertz));
        halt_helps_ = now == hertz;
        if (!halt_helps_) TRY_STATUS(host_.files.write(kManagerHalt, "0"));
      }
    }
    if (now == hertz) {
      reached_.insert(hertz);
    } else if (!reached_.contains(hertz)) {
      return fail(Errc::kUnsupported,
                  std::string("set ") + kName + " to " + number_text(hertz) + ": the memory controller stays at " + number_text(now) +
                      " Hz under the lock",
                  "its firmware has no timings for it, or another unit's bandwidth request holds it: leave this level out");
    }
    return {};
  }

  /// Writes it and answers where the clock then is.
  Result<double> write_rate(double hertz) {
    TRY_STATUS(host_.files.write(rate_path_, number_text(hertz)));
    const auto until = host_.clock.now() + kPatience;
    for (;;) {
      TRY(const double now, read_rate());
      if (now == hertz || host_.clock.now() >= until) return now;
      host_.clock.sleep_until(host_.clock.now() + kLookAgain);
    }
  }

  Status set_to_one(const std::string& path) {
    TRY(const long long now, read_integer(host_.files, path));
    return now == 1 ? Status() : host_.files.write(path, "1");
  }

  const std::string lock_path_ = std::string(kClock) + "/mrq_rate_locked";
  const std::string rate_path_ = std::string(kClock) + "/rate";
  const std::string state_path_ = std::string(kClock) + "/state";
  bool has_state_;
  bool has_halt_;
  bool halt_helps_ = true;    ///< until it was tried in vain
  std::set<double> reached_;  ///< rates that were there once: where one of them does not come, somebody else holds the clock
};

class EmcCap : public MemoryClock {
 public:
  EmcCap(Host& host, Parameter parameter, std::vector<double> table, std::string path)
      : MemoryClock(host, std::move(parameter), std::move(table)), path_(std::move(path)) {}

  std::vector<std::string> paths() const override { return {path_}; }

  Result<std::vector<FoundNode>> found_nodes() override {
    TRY(std::string text, host_.files.read(path_));
    return std::vector<FoundNode>{{path_, std::move(text)}};
  }

 private:
  Result<double> read_setting() const override {
    TRY(const long long cap, read_integer(host_.files, path_));
    if (cap < 0) return fail(Errc::kCorrupt, "read " + path_ + ": " + std::to_string(cap) + " Hz");
    const double hertz = meant(static_cast<double>(cap));
    return cap == 0 || hertz > table_.back() ? table_.back() : hertz;
  }
  Status write_setting(double hertz) override { return host_.files.write(path_, number_text(hertz)); }

  std::string path_;
};

Parameter parameter_of(const std::vector<double>& levels, std::string help) {
  return {.name = kName, .unit = "Hz", .role = Role::kMemoryClock, .levels = {levels.begin(), levels.end()}, .help = std::move(help)};
}

Error root_needed(Error why) {
  if (why.code == Errc::kPermission) why.hint = "run as root to set the memory clock";
  return why;
}

std::string left_out(double cap) { return "; levels above the power mode's cap of " + to_text(cap / 1e6) + " MHz are left out"; }

constexpr const char* kPublished = "; the levels are those published for this SoC, the board does not show its own";

Result<std::unique_ptr<Knob>> find_lock(Host& host) {
  const Files& files = host.files;
  const std::string clock = kClock;
  TRY_STATUS(read_integer(files, clock + "/rate"));
  TRY_STATUS(read_integer(files, clock + "/mrq_rate_locked"));
  TRY(const auto lowest, read_if_there(files, clock + "/min_rate"));
  TRY(const auto highest, read_if_there(files, clock + "/max_rate"));
  TRY(const auto state, read_if_there(files, clock + "/state"));
  TRY(const auto halt, read_if_there(files, kManagerHalt));
  TRY(auto rates, emc_rates(files));
  std::vector<double>& table = rates.table;
  const double bottom = emc_rate_meant(table, lowest.value_or(0.0));
  const double top = emc_rate_meant(table, highest.value_or(1e12));
  std::erase_if(table, [&](double rate) { return rate < bottom || rate > top; });
  if (table.empty()) {
    return fail(Errc::kUnsupported, "look for the levels of the memory clock in /sys/kernel/debug/bpmp/debug/emc/possible_rates: none",
                "this release does not show them, and no list is known for this SoC");
  }
  for (const char* node : {"/mrq_rate_locked", "/rate"}) TRY_STATUS(files.writable(clock + node));
  std::string help = "memory clock (EMC), held at this rate; while nobody holds it, it reads as the highest one allowed";
  std::vector<double> levels = table;
  // jetson_clocks keeps to the power mode's cap as well.
  if (const auto in_force = emc_cap_in_force(files)) {
    const double cap = std::max(emc_rate_meant(table, *in_force), table.front());
    std::erase_if(levels, [&](double rate) { return rate > cap; });
    if (levels.size() < table.size()) help += left_out(cap);
  }
  if (rates.published) help += kPublished;
  return std::make_unique<EmcLock>(host, parameter_of(levels, std::move(help)), std::move(table), state.has_value(), halt.has_value());
}

/// How far up a cap that was found may be moved: to that of the power mode, or where it has none to say, not at all.
double highest_cap(const Files& files, const std::vector<double>& table, double found) {
  const auto model = read_nvpmodel(files);
  const PowerMode* const mode = model ? model->in_force() : nullptr;
  return mode != nullptr && mode->mem_max_hz ? power_mode_ceiling(table, *mode->mem_max_hz, found) : found;
}

Result<std::unique_ptr<Knob>> find_cap(Host& host) {
  for (const std::string path : {kEmcClkCap, kEmcIsoCap}) {
    const auto cap = read_integer(host.files, path);
    if (!cap && cap.error().code == Errc::kNotFound) continue;
    if (!cap) return tl::unexpected<Error>(cap.error());
    TRY(auto rates, emc_rates(host.files));
    std::vector<double>& table = rates.table;
    if (table.empty()) {
      const bool nano = host.files.read(kCompatible).value_or("").find("nvidia,tegra210") != std::string::npos;
      return fail(Errc::kUnsupported, "look for the levels behind " + path + ": no list is known for this SoC",
                  nano ? "Nano and TX1 hold this clock through other nodes (override.emc), which this program does not use"
                       : "mount debugfs at /sys/kernel/debug: most boards show their own list there");
    }
    TRY_STATUS(host.files.writable(path));
    std::string help = "highest memory clock (EMC), the cap of nvpmodel";
    if (rates.published) help += kPublished;
    if (path == kEmcIsoCap) help += "; this node shows what was asked for, the clock itself only debugfs does";
    const double found = *cap == 0 ? table.back() : emc_rate_meant(table, static_cast<double>(*cap));
    const double top = std::max(highest_cap(host.files, table, found), table.front());
    std::vector<double> levels = table;
    std::erase_if(levels, [&](double rate) { return rate > top; });
    if (levels.size() < table.size()) help += left_out(top);
    return std::make_unique<EmcCap>(host, parameter_of(levels, std::move(help)), std::move(table), path);
  }
  return fail(Errc::kNotFound, std::string("look for a Jetson's memory clock in ") + kClock + ": none",
              "on a Jetson, debugfs must be mounted at /sys/kernel/debug");
}

KnobDiscovery discover(Host& host) {
  const std::string compatible = host.files.read(kCompatible).value_or("");
  auto knob = find_lock(host);
  if (!knob && knob.error().code == Errc::kNotFound) knob = find_cap(host);
  KnobDiscovery found;
  if (knob) {
    found.knobs.push_back(std::move(*knob));
  } else if (knob.error().code == Errc::kPermission && compatible.find("nvidia,tegra") == std::string::npos) {
    // Any machine hides debugfs from its users; that says nothing about a memory clock in it.
    found.absent.push_back({kName, {Errc::kNotFound, std::string("look for a Jetson's memory clock in ") + kClock + ": no Jetson", {}}});
  } else {
    found.absent.push_back({kName, root_needed(knob.error())});
  }
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver emc;
constinit const KnobDriver emc{
    .name = "emc", .summary = "memory clock of a Jetson (EMC, through the BPMP or nvpmodel's cap)", .discover = discover};
}  // namespace knob_driver
}  // namespace polythrottle
