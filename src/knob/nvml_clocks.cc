// Ceilings of an NVIDIA GPU's graphics and memory clock: locked clocks from the lowest supported one up to the level, so that the driver
// stays free to go below, as it is without a lock. The highest level is no lock at all, which is the driver's default.
// Source: nvml.h of NVML API version 13, on nvmlDeviceSetGpuLockedClocks, nvmlDeviceSetMemoryLockedClocks and the tables of clocks.
//
// No driver tells whether the clocks are locked. What was found is therefore taken for "unlocked" unless somebody says otherwise
// (NvmlMount), and a restore resets the lock. And a write is believed: whether the GPU obeys is a matter of `actual` under load.

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "host/nvml_gpu.h"
#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kGraphicsName = "gpu_max_hz";
constexpr const char* kMemoryName = "mem_hz";
constexpr const char* kUnlocked = "unlocked";
constexpr const char* kUnknown = "unknown";
constexpr double kMega = 1e6;

using Mhz = long long;

Mhz to_mhz(double hertz) { return std::llround(hertz / kMega); }

/// The lock of one clock.
class ClockLock {
 public:
  /// `clocks`: supported, MHz; `levels`: those that may be the ceiling, Hz, ascending.
  ClockLock(Files& files, std::string name, std::string path, std::string clock_path, Mhz lowest, std::vector<double> levels)
      : files_(files),
        name_(std::move(name)),
        path_(std::move(path)),
        clock_path_(std::move(clock_path)),
        lowest_(lowest),
        levels_(std::move(levels)) {}

  const std::string& path() const { return path_; }
  const std::string& name() const { return name_; }
  const std::vector<double>& levels() const { return levels_; }

  /// The ceiling in Hz.
  Result<double> read() {
    TRY(const std::string text, read_trimmed(files_, path_));
    if (text == kUnlocked || text == kUnknown) return levels_.back();
    std::istringstream words(text);
    Mhz low = 0;
    Mhz high = 0;
    if (!(words >> low >> high) || low < 0 || high < low) {
      return fail(Errc::kCorrupt, "read " + path_ + ": \"" + text + "\" is no lock");
    }
    const double hertz = static_cast<double>(high) * kMega;
    seen_[hertz] = text;
    return hertz;
  }

  /// The text that sets `wanted`. Errors: kOutOfRange.
  Result<std::string> text_of(const Value& wanted) const {
    if (const auto* hertz = std::get_if<double>(&wanted)) {
      if (*hertz == levels_.back()) return std::string(kUnlocked);
      if (std::find(levels_.begin(), levels_.end(), *hertz) != levels_.end()) {
        return std::to_string(lowest_) + " " + std::to_string(to_mhz(*hertz));
      }
      if (const auto seen = seen_.find(*hertz); seen != seen_.end()) return seen->second;
    }
    return fail(Errc::kOutOfRange, "set " + name_ + " to " + to_text(wanted) + ": not one of its levels",
                "the lowest is " + to_text(levels_.front()) + ", the highest " + to_text(levels_.back()));
  }

  /// For the record: what nobody can know is taken for the driver's default.
  Result<std::string> found() const {
    TRY(std::string text, read_trimmed(files_, path_));
    if (text == kUnknown) return std::string(kUnlocked);
    return text;
  }

  Result<std::optional<Value>> clock_now() const {
    const auto mhz = read_integer(files_, clock_path_);
    if (!mhz && (mhz.error().code == Errc::kUnsupported || mhz.error().code == Errc::kNotFound)) return std::optional<Value>();
    if (!mhz) return tl::unexpected<Error>(mhz.error());
    if (*mhz <= 0) return std::optional<Value>();  // asleep
    return std::optional<Value>(static_cast<double>(*mhz) * kMega);
  }

 private:
  Files& files_;
  std::string name_, path_, clock_path_;
  Mhz lowest_;
  std::vector<double> levels_;
  std::map<double, std::string> seen_;  ///< texts behind the values that `read` answered
};

/// The driver lists for each memory clock the graphics clocks that go with it: low memory clocks allow low graphics clocks only.
class GpuClocks : public KnobGroup {
 public:
  GpuClocks(Files& files, ClockLock graphics, std::optional<ClockLock> memory, std::map<Mhz, std::set<Mhz>> tables)
      : files_(files), graphics_(std::move(graphics)), memory_(std::move(memory)), tables_(std::move(tables)) {}

  ClockLock& graphics() { return graphics_; }
  ClockLock& memory() { return *memory_; }
  bool has_memory() const { return memory_.has_value(); }

  bool allows(const Config& config) const override {
    const auto graphics = config.number(kGraphicsName);
    const auto memory = memory_ ? config.number(kMemoryName) : std::nullopt;
    if (!graphics || !memory) return true;
    const auto table = tables_.find(to_mhz(*memory));
    return table == tables_.end() || table->second.contains(to_mhz(*graphics));
  }

  Status write(const Config& wanted) override {
    std::vector<std::pair<std::string, std::string>> writes;
    for (ClockLock* lock : {memory_ ? &*memory_ : nullptr, &graphics_}) {
      const auto value = lock != nullptr ? wanted.get(lock->name()) : std::nullopt;
      if (!value) continue;
      TRY(std::string text, lock->text_of(*value));
      writes.emplace_back(lock->path(), std::move(text));
    }
    if (!allows(wanted)) {
      return fail(Errc::kOutOfRange, std::string("set ") + kGraphicsName + " to " + to_text(*wanted.get(kGraphicsName)) + " and " +
                                         kMemoryName + " to " + to_text(*wanted.get(kMemoryName)) +
                                         ": the driver does not list them together");
    }
    for (const auto& [path, text] : writes) TRY_STATUS(files_.write(path, text));
    return {};
  }

 private:
  Files& files_;
  ClockLock graphics_;
  std::optional<ClockLock> memory_;
  std::map<Mhz, std::set<Mhz>> tables_;  ///< by memory clock
};

class LockedClock : public Knob {
 public:
  LockedClock(std::shared_ptr<GpuClocks> clocks, ClockLock& lock, Parameter parameter)
      : clocks_(std::move(clocks)), lock_(lock), parameter_(std::move(parameter)) {}

  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override {
    TRY(const double hertz, lock_.read());
    return Value(hertz);
  }
  Result<Value> write(const Value& wanted) override {
    TRY_STATUS(clocks_->write({{parameter_.name, wanted}}));
    return read();
  }
  std::vector<std::string> paths() const override { return {lock_.path()}; }
  Result<std::vector<FoundNode>> found_nodes() override {
    TRY(std::string text, lock_.found());
    return std::vector<FoundNode>{{lock_.path(), std::move(text)}};
  }
  KnobGroup* group() const override { return clocks_->has_memory() ? clocks_.get() : nullptr; }
  Result<std::optional<Value>> actual() override { return lock_.clock_now(); }

 private:
  std::shared_ptr<GpuClocks> clocks_;
  ClockLock& lock_;  ///< in *clocks_
  Parameter parameter_;
};

Result<std::set<Mhz>> read_clocks(const Files& files, const std::string& path) {
  TRY(const std::string text, read_trimmed(files, path));
  std::set<Mhz> clocks;
  std::istringstream words(text);
  for (Mhz mhz = 0; words >> mhz;) {
    if (mhz > 0) clocks.insert(mhz);
  }
  if (clocks.empty()) return fail(Errc::kCorrupt, "read " + path + ": no clocks in \"" + text + "\"");
  return clocks;
}

std::vector<double> in_hertz(const std::set<Mhz>& clocks) {
  std::vector<double> hertz;
  for (const Mhz mhz : clocks) hertz.push_back(static_cast<double>(mhz) * kMega);
  return hertz;
}

/// The memory clocks that may be the ceiling, or why there is no such knob.
Result<std::vector<double>> memory_levels(const Files& files, const NvmlGpu& gpu, const std::map<Mhz, std::set<Mhz>>& tables) {
  const std::string act = "lock the memory clock of " + gpu.text() + ": ";
  const std::set<Mhz>& graphics = tables.rbegin()->second;
  std::set<Mhz> levels;
  for (const auto& [memory, clocks] : tables) {
    if (std::any_of(clocks.begin(), clocks.end(), [&](Mhz mhz) { return graphics.contains(mhz); })) levels.insert(memory);
  }
  if (levels.size() < 2) return fail(Errc::kUnsupported, act + "it has one, " + std::to_string(*levels.begin()) + " MHz");
  TRY(const std::string architecture, read_trimmed(files, gpu.folder + "/architecture"));
  if (!architecture_from(architecture, "ampere")) {
    return fail(Errc::kUnsupported, act + "possible from the architecture Ampere on, and this is " + architecture);
  }
  TRY_STATUS(files.writable(gpu.folder + "/locked_memory_clocks"));
  return in_hertz(levels);
}

KnobDiscovery discover(Host& host) {
  const Files& files = host.files;
  KnobDiscovery found;
  const auto absent = [&](const char* name, Error why) {
    found.absent.push_back({name, std::move(why)});
    return std::move(found);
  };
  if (is_jetson(files)) return found;
  const auto gpu = chosen_gpu(files);
  if (!gpu) return absent(kGraphicsName, gpu.error());
  const auto memory_clocks = read_clocks(files, gpu->folder + "/supported_memory_clocks");
  if (!memory_clocks) return absent(kGraphicsName, memory_clocks.error());
  std::map<Mhz, std::set<Mhz>> tables;
  for (const Mhz memory : *memory_clocks) {
    auto table = read_clocks(files, gpu->folder + "/supported_graphics_clocks/" + std::to_string(memory));
    if (table) {
      tables[memory] = std::move(*table);
    } else if (memory == *memory_clocks->rbegin()) {
      return absent(kGraphicsName, table.error());
    }  // a lower memory clock without a table is not offered
  }
  const std::string architecture = read_trimmed(files, gpu->folder + "/architecture").value_or("unknown");
  if (!architecture_from(architecture, "volta")) {
    return absent(kGraphicsName,
                  {Errc::kUnsupported,
                   "lock the clock of " + gpu->text() + ": possible from the architecture Volta on, and this is " + architecture,
                   {}});
  }
  const std::string path = gpu->folder + "/locked_graphics_clocks";
  if (const auto may = files.writable(path); !may) return absent(kGraphicsName, may.error());

  const std::set<Mhz>& graphics = tables.rbegin()->second;
  ClockLock graphics_lock(host.files, kGraphicsName, path, gpu->folder + "/graphics_clock_mhz", *graphics.begin(), in_hertz(graphics));
  auto levels = memory_levels(files, *gpu, tables);
  if (!levels) found.absent.push_back({kMemoryName, levels.error()});
  std::optional<ClockLock> memory_lock;
  if (levels) {
    memory_lock.emplace(host.files, kMemoryName, gpu->folder + "/locked_memory_clocks", gpu->folder + "/memory_clock_mhz",
                        *memory_clocks->begin(), std::move(*levels));
  }
  const auto clocks = std::make_shared<GpuClocks>(host.files, std::move(graphics_lock), std::move(memory_lock), std::move(tables));
  const auto add = [&](ClockLock& lock, Role role, const char* help) {
    Parameter parameter{
        .name = lock.name(), .unit = "Hz", .role = role, .levels = {lock.levels().begin(), lock.levels().end()}, .help = help};
    found.knobs.push_back(std::make_unique<LockedClock>(clocks, lock, std::move(parameter)));
  };
  if (clocks->has_memory()) {
    add(clocks->memory(), Role::kMemoryClock,
        "highest memory clock (NVML locked clocks); at the highest level unlocked; a lock set before cannot be read: see --found-mem-lock");
  }
  add(clocks->graphics(), Role::kComputeClock,
      "highest graphics clock (NVML locked clocks); at the highest level unlocked; a lock set before cannot be read: see --found-gpu-lock");
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver nvml_clocks;
constinit const KnobDriver nvml_clocks{
    .name = "nvml_clocks", .summary = "highest graphics and memory clock of an NVIDIA GPU (NVML)", .discover = discover};
}  // namespace knob_driver
}  // namespace polythrottle
