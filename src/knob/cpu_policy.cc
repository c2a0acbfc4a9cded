#include "knob/cpu_policy.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

namespace polythrottle {
namespace {

constexpr const char* kFolder = "/sys/devices/system/cpu/cpufreq";
/// Without a table the kernel keeps any limit, but the hardware runs in steps of 100 MHz (the P-state ratio of Intel's base clock), so a
/// finer limit would be a second name for the same speed.
constexpr Khz kStepKhz = 100'000;

/// "policy12" is 12.
std::optional<int> policy_number(std::string_view name) {
  if (!name.starts_with("policy")) return std::nullopt;
  name.remove_prefix(6);
  int number = 0;
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (name.empty() || error != std::errc{} || at != name.data() + name.size()) return std::nullopt;
  return number;
}

/// The clocks in a file that a driver may lack; what is no number ("<unsupported>") ends the list.
Result<std::vector<Khz>> read_clocks(const Files& files, const std::string& path) {
  const auto text = files.read(path);
  if (!text && text.error().code == Errc::kNotFound) return std::vector<Khz>();
  if (!text) return tl::unexpected<Error>(text.error());
  std::set<Khz> clocks;
  std::istringstream words(*text);
  for (Khz khz = 0; words >> khz;) clocks.insert(khz);
  return std::vector<Khz>(clocks.begin(), clocks.end());
}

Result<CpuPolicy> probe(const Files& files, const std::string& folder) {
  CpuPolicy policy{.folder = folder, .table = {}, .base = {}};
  TRY(policy.lowest, read_integer(files, folder + "/cpuinfo_min_freq"));
  TRY(policy.highest, read_integer(files, folder + "/cpuinfo_max_freq"));
  if (policy.lowest <= 0 || policy.highest < policy.lowest) {
    return fail(Errc::kCorrupt,
                "read " + folder + ": clocks from " + std::to_string(policy.lowest) + " to " + std::to_string(policy.highest) + " kHz");
  }
  if (const auto firmware = read_integer(files, folder + "/bios_limit"); firmware && *firmware >= policy.lowest) {
    policy.highest = std::min(policy.highest, *firmware);
  }
  TRY(const auto usual, read_clocks(files, folder + "/scaling_available_frequencies"));
  TRY(const auto boost, read_clocks(files, folder + "/scaling_boost_frequencies"));
  for (const auto* clocks : {&usual, &boost}) {
    // While boost is off the table may still name speeds above what the hardware now allows.
    std::copy_if(clocks->begin(), clocks->end(), std::back_inserter(policy.table),
                 [&](Khz khz) { return khz >= policy.lowest && khz <= policy.highest; });
  }
  std::sort(policy.table.begin(), policy.table.end());
  policy.table.erase(std::unique(policy.table.begin(), policy.table.end()), policy.table.end());
  if (!boost.empty() && !usual.empty()) {
    policy.base = usual.back();
  } else if (const auto base = read_integer(files, folder + "/base_frequency"); base && *base > 0) {
    policy.base = *base;
  }
  TRY_STATUS(read_khz(files, policy.floor_path()));
  TRY_STATUS(files.writable(policy.floor_path()));
  TRY_STATUS(files.writable(policy.ceiling_path()));
  return policy;
}

}  // namespace

Khz CpuPolicy::target(Khz wanted) const {
  if (table.empty()) return std::clamp(wanted, lowest, highest);
  const auto above = std::upper_bound(table.begin(), table.end(), wanted);
  return above == table.begin() ? table.front() : *(above - 1);
}

Result<std::map<int, std::string>> cpu_policy_folders(const Files& files) {
  const auto names = files.list(kFolder);
  if (!names && names.error().code != Errc::kNotFound) return tl::unexpected<Error>(names.error());
  std::map<int, std::string> folders;
  for (const auto& name : names.value_or(std::vector<std::string>())) {
    if (const auto number = policy_number(name)) folders[*number] = std::string(kFolder) + "/" + name;
  }
  return folders;
}

bool is_resting(const Files& files, const std::string& folder, const Error& why) {
  if (why.code != Errc::kNotFound) return why.code == Errc::kBusy;
  const auto names = files.list(folder);
  return !names || names->empty();
}

Result<CpuPolicies> find_cpu_policies(const Files& files) {
  TRY(const auto folders, cpu_policy_folders(files));
  CpuPolicies found;
  for (const auto& [number, folder] : folders) {
    auto policy = probe(files, folder);
    if (policy) {
      policy->number = number;
      found.policies.push_back(std::move(*policy));
    } else if (is_resting(files, folder, policy.error())) {
      found.resting.emplace(number, explained(policy.error()));  // nothing there to limit
    } else {
      if (policy.error().code == Errc::kPermission && policy.error().hint.empty()) policy.error().hint = "run as root to set CPU clocks";
      return tl::unexpected<Error>(policy.error());
    }
  }
  if (found.policies.empty()) {
    if (!found.resting.empty()) return tl::unexpected<Error>(found.resting.begin()->second);
    return fail(Errc::kNotFound, std::string("look for cpufreq policies in ") + kFolder + ": none",
                "virtual machines have no CPU clocks to set; on bare metal, load a cpufreq driver");
  }
  return found;
}

Result<std::optional<Khz>> current_khz(const Files& files, const CpuPolicy& policy) {
  for (const char* file : {"/cpuinfo_cur_freq", "/scaling_cur_freq"}) {
    const auto khz = read_integer(files, policy.folder + file);
    if (khz && *khz > 0) return std::optional<Khz>(*khz);
    const bool elsewhere =
        khz || khz.error().code == Errc::kNotFound || khz.error().code == Errc::kPermission || khz.error().code == Errc::kCorrupt;
    if (!elsewhere) return tl::unexpected<Error>(khz.error());
  }
  return std::optional<Khz>();
}

Error explained(Error error) {
  if (error.code == Errc::kBusy || error.code == Errc::kNotFound) {
    error.hint = "all CPUs of that policy are offline: bring one back (/sys/devices/system/cpu/cpuN/online)";
  }
  return error;
}

std::vector<Value> ceilings_of(const std::vector<CpuPolicy>& policies) {
  Khz bottom = 0;
  Khz top = 0;
  std::set<Khz> levels;
  for (const auto& policy : policies) {
    bottom = std::max(bottom, policy.bottom());
    top = std::max(top, policy.top());
    levels.insert(policy.table.begin(), policy.table.end());
  }
  const bool tables = std::all_of(policies.begin(), policies.end(), [](const auto& policy) { return !policy.table.empty(); });
  if (!tables) {
    const auto steps = stepped_levels(std::min(bottom, top), top, kStepKhz);
    levels = {steps.begin(), steps.end()};
  }
  std::vector<Value> values;
  for (const Khz khz : levels) {
    if (khz >= bottom && khz <= top) values.emplace_back(to_hertz(khz));
  }
  if (values.empty()) values.emplace_back(to_hertz(top));
  return values;
}

}  // namespace polythrottle
