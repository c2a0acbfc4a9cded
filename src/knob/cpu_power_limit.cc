// The sustained power limit of the CPU packages (RAPL, the constraint long_term), all packages together, on request only.
// Sources: Linux Documentation/power/powercap/powercap.rst, Documentation/ABI/testing/sysfs-class-powercap,
// drivers/powercap/intel_rapl_common.c.
//
// Levels are whole watts from a quarter of the highest limit to the highest. That is max_power_uw, which for long_term is the power that
// the package's cooling is specified for. Powercap names no lower bound, so the quarter is a choice of this program. The hardware keeps
// limits in steps of 1/8 W or finer and cuts the rest, so that what reads back within one step of a level counts as that level. The restore
// writes the exact numbers found.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "cpu_power_limit_watts";
constexpr const char* kFolder = "/sys/class/powercap";
constexpr const char* kConstraint = "long_term";
constexpr std::size_t kMostLevels = 16;
constexpr double kStepWatts = 0.125;

using Microwatts = long long;

struct Package {
  std::string limit_path;
  double most = 0;  ///< W: what the package may be allowed
};

class PackagePowerLimit : public Knob {
 public:
  PackagePowerLimit(Files& files, std::vector<Package> packages, Parameter parameter)
      : files_(files), packages_(std::move(packages)), parameter_(std::move(parameter)) {}

  const Parameter& parameter() const override { return parameter_; }

  /// The highest of the packages' limits.
  Result<Value> read() override {
    std::vector<Microwatts> limits;
    for (const auto& package : packages_) {
      TRY(const Microwatts limit, read_integer(files_, package.limit_path));
      if (limit < 0) return fail(Errc::kCorrupt, "read " + package.limit_path + ": a negative power");
      limits.push_back(limit);
    }
    double watts = static_cast<double>(*std::max_element(limits.begin(), limits.end())) * 1e-6;
    for (const auto& level : parameter_.levels) {
      if (std::abs(std::get<double>(level) - watts) < kStepWatts) watts = std::get<double>(level);
    }
    seen_.try_emplace(watts, std::move(limits));
    return Value(watts);
  }

  Result<Value> write(const Value& wanted) override {
    TRY(const auto limits, targets_of(wanted));
    for (std::size_t i = 0; i < packages_.size(); ++i) {
      if (auto written = files_.write(packages_[i].limit_path, std::to_string(limits[i])); !written) {
        Error error = written.error();
        if (error.code == Errc::kPermission) {
          error.hint =
              "as root this means that the firmware has locked it (kernel log: locked by BIOS): unlock it there, or leave the knob out";
        }
        return tl::unexpected<Error>(std::move(error));
      }
    }
    return read();
  }

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths;
    for (const auto& package : packages_) paths.push_back(package.limit_path);
    return paths;
  }

  Result<std::vector<FoundNode>> found_nodes() override {
    std::vector<FoundNode> nodes;
    for (const auto& package : packages_) {
      TRY(std::string text, files_.read(package.limit_path));
      nodes.push_back({package.limit_path, std::move(text)});
    }
    return nodes;
  }

 private:
  Result<std::vector<Microwatts>> targets_of(const Value& wanted) const {
    const auto& levels = parameter_.levels;
    std::vector<Microwatts> targets;
    if (std::find(levels.begin(), levels.end(), wanted) != levels.end()) {
      for (const auto& package : packages_) {
        targets.push_back(std::llround(std::min(std::get<double>(wanted), package.most)) * 1'000'000);
      }
      return targets;
    }
    if (const auto* watts = std::get_if<double>(&wanted)) {
      if (const auto seen = seen_.find(*watts); seen != seen_.end()) return seen->second;
    }
    return fail(Errc::kOutOfRange, std::string("set ") + kName + " to " + to_text(wanted) + ": not one of its levels",
                "the lowest is " + to_text(levels.front()) + ", the highest " + to_text(levels.back()));
  }

  Files& files_;
  std::vector<Package> packages_;
  Parameter parameter_;
  std::map<double, std::vector<Microwatts>> seen_;  ///< what each package held when `read` first answered this value
};

/// "intel-rapl:12" is 12. Subzones have a second colon, and intel-rapl-mmio shows the same packages a second time: one of both is enough,
/// and the registers of the CPU are what most machines have.
std::optional<int> top_zone(std::string_view name) {
  constexpr std::string_view kPrefix = "intel-rapl:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int number = 0;
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (name.empty() || error != std::errc{} || at != name.data() + name.size()) return std::nullopt;
  return number;
}

/// The path of the constraint's files without their last part, ".../constraint_0_".
Result<std::string> find_constraint(const Files& files, const std::string& zone) {
  for (int i = 0;; ++i) {
    const std::string stem = zone + "/constraint_" + std::to_string(i) + "_";
    const auto name = read_trimmed(files, stem + "name");
    if (name && *name == kConstraint) return stem;
    if (name) continue;
    if (name.error().code != Errc::kNotFound) return tl::unexpected<Error>(name.error());
    return fail(Errc::kUnsupported, "look for the constraint " + std::string(kConstraint) + " of " + zone + ": none",
                "the packages count energy but cannot be limited here; AMD's cannot");
  }
}

Result<Package> probe(const Files& files, const std::string& zone) {
  TRY(const std::string stem, find_constraint(files, zone));
  Package package{.limit_path = stem + "power_limit_uw"};
  TRY(const Microwatts now, read_integer(files, package.limit_path));
  const Microwatts declared = read_integer(files, stem + "max_power_uw").value_or(0);
  package.most = std::floor(static_cast<double>(declared > 0 ? declared : now) * 1e-6);
  if (package.most < 1.0) {
    return fail(Errc::kUnsupported, "look for the highest power of " + zone + ": neither max_power_uw nor the limit in force says it");
  }
  TRY_STATUS(files.writable(package.limit_path));
  if (const auto enabled = read_integer(files, zone + "/enabled"); enabled && *enabled == 0) {
    return fail(Errc::kUnsupported, "read " + zone + "/enabled: 0, the limit is not in force",
                "as root: echo 1 > " + zone + "/enabled; where it stays 0 the firmware has locked it");
  }
  return package;
}

/// Whole watts, evenly spread.
std::vector<Value> levels_up_to(double top) {
  const double bottom = std::max(1.0, std::ceil(top / 4.0));
  const double stride = std::max(1.0, (top - bottom) / static_cast<double>(kMostLevels - 1));
  std::vector<Value> levels;
  for (std::size_t i = 0; i < kMostLevels; ++i) {
    const double watts = std::round(bottom + static_cast<double>(i) * stride);
    if (watts >= top) break;
    levels.emplace_back(watts);
  }
  if (levels.size() == kMostLevels) levels.pop_back();
  levels.emplace_back(top);
  return levels;
}

KnobDiscovery discover(Host& host) {
  const auto absent = [](Error why) {
    if (why.code == Errc::kPermission && why.hint.empty()) why.hint = "run as root to set power limits";
    KnobDiscovery none;
    none.absent.push_back({kName, std::move(why)});
    return none;
  };
  const auto names = host.files.list(kFolder);
  if (!names && names.error().code != Errc::kNotFound) return absent(names.error());
  std::map<int, std::string> zones;
  for (const auto& name : names.value_or(std::vector<std::string>())) {
    if (const auto number = top_zone(name)) zones[*number] = std::string(kFolder) + "/" + name;
  }
  std::vector<Package> packages;
  double top = 0.0;
  for (const auto& [number, zone] : zones) {
    const auto name = read_trimmed(host.files, zone + "/name");
    if (!name) return absent(name.error());
    if (!name->starts_with("package-")) continue;  // psys contains the packages
    auto package = probe(host.files, zone);
    if (!package) return absent(package.error());
    top = std::max(top, package->most);
    packages.push_back(std::move(*package));
  }
  if (packages.empty()) {
    return absent({Errc::kNotFound, std::string("look for RAPL packages in ") + kFolder + ": none",
                   "virtual machines have none; on bare metal: modprobe intel_rapl_msr"});
  }
  Parameter parameter{.name = kName,
                      .unit = "W",
                      .role = Role::kPowerCap,
                      .levels = levels_up_to(top),
                      .help = "sustained power limit of each CPU package (RAPL long_term); that it starts at a quarter is our choice"};
  KnobDiscovery found;
  found.knobs.push_back(std::make_unique<PackagePowerLimit>(host.files, std::move(packages), std::move(parameter)));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver cpu_power_limit;
constinit const KnobDriver cpu_power_limit{
    .name = "cpu_power_limit", .summary = "sustained power limit of the CPU packages (RAPL)", .discover = discover, .by_request = true};
}  // namespace knob_driver
}  // namespace polythrottle
