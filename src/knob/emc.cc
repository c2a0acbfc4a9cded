// The memory clock of a Jetson (EMC, the external memory controller): held by the boot and power management processor (BPMP) where
// debugfs shows it, else capped the way nvpmodel does it.
// Sources: NVIDIA's jetson_clocks (JetPack 4, 5) and its kernel drivers nvpmodel_emc_cap and nvpmodel-clk-cap; tools of board owners for
// the patience, `state` and the order of giving back.
//
// Lock: mrq_rate_locked=1, then rate=HERTZ, as NVIDIA's jetson_clocks does on tegra186, 194 and 234; `state` is set to 1 first where it is
// not, as tuners do. The BPMP keeps only the rates of its table: anything else is rounded up or ignored without an error, so nothing else
// is written, and the rate is read until it is there. bwmgr_halt, which some later releases have, is left alone: jetson_clocks does
// without. Given back: the rate while it is still held, then the lock as it was found, which hands the clock to its governor again.
//
// Cap: emc_iso_cap (JetPack 4, 5) shows the number last written, 0 for none, whether it took effect or not; nvpmodel_clk_cap/emc (JetPack
// 6) shows the cap in force, and there 0 is no "none".

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <sstream>

#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "mem_hz";
constexpr const char* kClock = "/sys/kernel/debug/bpmp/debug/clk/emc";
constexpr const char* kPossibleRates = "/sys/kernel/debug/bpmp/debug/emc/possible_rates";
constexpr const char* kIsoCap = "/sys/kernel/nvpmodel_emc_cap/emc_iso_cap";
constexpr const char* kClkCap = "/sys/kernel/nvpmodel_clk_cap/emc";
constexpr const char* kCompatible = "/proc/device-tree/compatible";
/// A tool of the field waits this long before it believes that the BPMP rounded.
constexpr Seconds kPatience{1.0};
constexpr Seconds kLookAgain{0.01};

struct SocTable {
  const char* soc;
  std::vector<double> rates;
};

/// The last resort, where the board does not show its own list: those that owners of such boards report.
std::vector<double> published_rates(const std::string& compatible) {
  const SocTable tables[] = {
      {"nvidia,tegra186", {40.8e6, 68e6, 102e6, 204e6, 408e6, 665.6e6, 800e6, 1062.4e6, 1331.2e6, 1600e6, 1866e6}},
      {"nvidia,tegra194", {204e6, 800e6, 1333e6, 1600e6, 1866e6, 2133e6}},
      {"nvidia,tegra234", {204e6, 665.6e6, 2133e6, 3199e6}},
  };
  for (const auto& table : tables) {
    if (compatible.find(table.soc) != std::string::npos) return table.rates;
  }
  return {};
}

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

/// The cap of the power mode in Hz, if there is one in force.
std::optional<double> cap_in_force(const Files& files) {
  for (const char* path : {kIsoCap, kClkCap}) {
    const auto cap = read_integer(files, path);
    if (cap && *cap > 0) return static_cast<double>(*cap);
  }
  return std::nullopt;
}

class EmcLock : public MemoryClock {
 public:
  EmcLock(Host& host, Parameter parameter, std::vector<double> table, bool has_state)
      : MemoryClock(host, std::move(parameter), std::move(table)), has_state_(has_state) {}

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths{lock_path_, rate_path_};
    if (has_state_) paths.push_back(state_path_);
    return paths;
  }

  Result<std::vector<FoundNode>> found_nodes() override {
    const Files& files = host_.files;
    TRY(std::string lock, files.read(lock_path_));
    TRY(const long long locked, read_integer(files, lock_path_));
    TRY(std::string rate, files.read(rate_path_));
    TRY(const long long hertz, read_integer(files, rate_path_));
    std::vector<FoundNode> nodes{{lock_path_, "1"}};
    // A rate on its way between two levels is not one to go back to: without a lock the governor chooses anyway.
    if (locked != 0 || contains(table_, static_cast<double>(hertz))) nodes.push_back({rate_path_, std::move(rate)});
    if (has_state_) {
      TRY(std::string state, files.read(state_path_));
      nodes.push_back({state_path_, std::move(state)});
    }
    nodes.push_back({lock_path_, std::move(lock)});
    return nodes;
  }

  Result<std::optional<Value>> actual() override {
    TRY(const long long hertz, read_integer(host_.files, rate_path_));
    return std::optional<Value>(static_cast<double>(hertz));
  }

 private:
  /// What is held; while nothing is, how far the governor may go.
  Result<double> read_setting() const override {
    TRY(const long long locked, read_integer(host_.files, lock_path_));
    if (locked == 0) {
      double limit = table_.front();
      const double cap = cap_in_force(host_.files).value_or(table_.back());
      for (const double rate : table_) {
        if (rate <= cap) limit = rate;
      }
      return limit;
    }
    TRY(const long long hertz, read_integer(host_.files, rate_path_));
    if (hertz <= 0) return fail(Errc::kCorrupt, "read " + rate_path_ + ": " + std::to_string(hertz) + " Hz");
    return static_cast<double>(hertz);
  }

  Status write_setting(double hertz) override {
    TRY_STATUS(set_to_one(lock_path_));
    if (has_state_) TRY_STATUS(set_to_one(state_path_));
    TRY_STATUS(host_.files.write(rate_path_, number_text(hertz)));
    const auto until = host_.clock.now() + kPatience;
    for (;;) {
      TRY(const long long now, read_integer(host_.files, rate_path_));
      if (static_cast<double>(now) == hertz || host_.clock.now() >= until) return {};
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
    const auto hertz = static_cast<double>(cap);
    return cap == 0 || hertz > table_.back() ? table_.back() : hertz;
  }
  Status write_setting(double hertz) override { return host_.files.write(path_, number_text(hertz)); }

  std::string path_;
};

/// "204000 665600 2133000 (kHz)" in Hz.
std::vector<double> parse_rates(const std::string& text) {
  const double unit = text.find("(Hz)") == std::string::npos ? 1e3 : 1.0;
  std::set<double> rates;
  std::istringstream words(text);
  for (long long number = 0; words >> number;) {
    if (number > 0) rates.insert(static_cast<double>(number) * unit);
  }
  return {rates.begin(), rates.end()};
}

Parameter parameter_of(const std::vector<double>& levels, std::string help) {
  return {.name = kName, .unit = "Hz", .role = Role::kMemoryClock, .levels = {levels.begin(), levels.end()}, .help = std::move(help)};
}

Error root_needed(Error why) {
  if (why.code == Errc::kPermission) why.hint = "run as root to set the memory clock";
  return why;
}

constexpr const char* kPublished = "; the levels are those published for this SoC, the board does not show its own";

Result<std::unique_ptr<Knob>> find_lock(Host& host, const std::string& compatible) {
  const Files& files = host.files;
  const std::string clock = kClock;
  TRY_STATUS(read_integer(files, clock + "/rate"));
  TRY_STATUS(read_integer(files, clock + "/mrq_rate_locked"));
  TRY(const auto lowest, read_if_there(files, clock + "/min_rate"));
  TRY(const auto highest, read_if_there(files, clock + "/max_rate"));
  TRY(const auto state, read_if_there(files, clock + "/state"));
  const auto shown = files.read(kPossibleRates);
  if (!shown && shown.error().code != Errc::kNotFound) return tl::unexpected<Error>(shown.error());
  std::vector<double> table = shown ? parse_rates(*shown) : published_rates(compatible);
  std::erase_if(table, [&](double rate) { return rate < lowest.value_or(0.0) || rate > highest.value_or(rate); });
  if (table.empty()) {
    return fail(Errc::kUnsupported, std::string("look for the levels of the memory clock in ") + kPossibleRates + ": none",
                "this release does not show them, and no list is known for this SoC");
  }
  for (const char* node : {"/mrq_rate_locked", "/rate"}) TRY_STATUS(files.writable(clock + node));
  std::string help = "memory clock (EMC), held at this rate; while nobody holds it, it reads as the highest one allowed";
  std::vector<double> levels = table;
  // jetson_clocks keeps to the power mode's cap as well.
  if (const auto cap = cap_in_force(files); cap && *cap < table.back() && *cap >= table.front()) {
    std::erase_if(levels, [&](double rate) { return rate > *cap; });
    help += "; levels above the power mode's cap of " + number_text(*cap) + " Hz are left out";
  }
  if (!shown) help += kPublished;
  return std::make_unique<EmcLock>(host, parameter_of(levels, std::move(help)), std::move(table), state.has_value());
}

Result<std::unique_ptr<Knob>> find_cap(Host& host, const std::string& compatible) {
  for (const std::string path : {kClkCap, kIsoCap}) {
    const auto cap = read_integer(host.files, path);
    if (!cap && cap.error().code == Errc::kNotFound) continue;
    if (!cap) return tl::unexpected<Error>(cap.error());
    auto table = published_rates(compatible);
    if (table.empty()) {
      return fail(Errc::kUnsupported, "look for the levels behind " + path + ": no list is known for this SoC",
                  "mount debugfs: the board's own list is there");
    }
    TRY_STATUS(host.files.writable(path));
    std::string help = std::string("highest memory clock (EMC), the cap of nvpmodel") + kPublished;
    if (path == kIsoCap) help += "; this node shows what was asked for, the clock itself only debugfs does";
    auto parameter = parameter_of(table, std::move(help));
    return std::make_unique<EmcCap>(host, std::move(parameter), std::move(table), path);
  }
  return fail(Errc::kNotFound, std::string("look for a Jetson's memory clock in ") + kClock + ": none",
              "on a Jetson, debugfs must be mounted at /sys/kernel/debug");
}

KnobDiscovery discover(Host& host) {
  const std::string compatible = host.files.read(kCompatible).value_or("");
  auto knob = find_lock(host, compatible);
  if (!knob && knob.error().code == Errc::kNotFound) knob = find_cap(host, compatible);
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
