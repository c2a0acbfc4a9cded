#include "bench/methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <sstream>

#include "bench/peer.h"
#include "optimizer/eic.h"
#include "optimizer/phases.h"

namespace polythrottle::bench {
namespace {

/// A plain Gaussian-process baseline made as well as can be without knowing anything of machines.
EicOptions plain_gp(int random_starts) {
  EicOptions options;
  options.random_starts = random_starts;
  options.xi = 0.0;
  options.kernel = Kernel::kMatern52;
  options.target = Target::kLog;
  options.noise = Noise::kReported;
  options.incumbent = Incumbent::kBestPosteriorMean;
  return options;
}

Method gp_method(const std::string& name, int random_starts) {
  return {.name = name, .make = [options = plain_gp(random_starts)](std::size_t) { return make_eic(options); }};
}

/// What may stand behind the slash of a steered driver's name.
struct Variant {
  std::string_view name;
  void (*apply)(Method& method, const OptimizerDriver& driver);
};
constexpr std::array<Variant, 6> kVariants{{
    {"safe", [](Method& method, const OptimizerDriver&) { method.explore = Explore::kSafe; }},
    {"strict", [](Method& method, const OptimizerDriver&) { method.explore = Explore::kStrict; }},
    {"bold", [](Method& method, const OptimizerDriver&) { method.explore = Explore::kBold; }},
    {"warm", [](Method& method, const OptimizerDriver&) { method.earlier = Earlier::kFinished; }},
    {"wrong", [](Method& method, const OptimizerDriver&) { method.earlier = Earlier::kMisleading; }},
    {"phases",
     [](Method& method, const OptimizerDriver& driver) {
       method.make = [&driver](std::size_t) { return make_paper_phases(driver.make); };
       method.phased = true;
     }},
}};

/// nullptr: there is none of this name.
const Variant* find_variant(std::string_view name) {
  const auto* const found = std::find_if(kVariants.begin(), kVariants.end(), [&](const Variant& v) { return v.name == name; });
  return found == kVariants.end() ? nullptr : found;
}

Result<Method> driver_method(const std::string& name) {
  const std::size_t slash = name.find('/');
  const std::string driver_name = name.substr(0, slash);
  for (const OptimizerDriver* driver : optimizer_drivers()) {
    if (driver->name != driver_name) continue;
    Method method{.name = name, .make = [driver](std::size_t) { return driver->make(); }, .steered = driver->steered};
    if (slash == std::string::npos) return method;
    if (!driver->steered) return fail(Errc::kInvalid, fmt::format("--methods {}: '{}' has no variants", name, driver_name));
    const Variant* variant = find_variant(std::string_view(name).substr(slash + 1));
    if (variant == nullptr) break;
    variant->apply(method, *driver);
    return method;
  }
  return fail(Errc::kInvalid, fmt::format("unknown method '{}'", name), "the methods are " + method_names());
}

Result<Method> method_of(const std::string& name) {
  if (name == "gp") return gp_method(name, 5);
  if (name == "gp-max2") return gp_method(name, 2);
  return driver_method(name);
}

/// The name, without its suffix, of the last file that a command names; of its first word where there is none.
std::string short_name(const std::string& command) {
  std::istringstream words(command);
  std::string name;
  for (std::string word; words >> word;) {
    std::error_code ignored;
    if (name.empty() || std::filesystem::is_regular_file(word, ignored)) name = word;
  }
  return std::filesystem::path(name).stem().string();
}

Result<Method> peer_method(const std::string& name, const std::string& command) {
  if (command.find_first_not_of(' ') == std::string::npos) return fail(Errc::kInvalid, "--methods cmd: lacks a command");
  const auto make = [command](std::size_t cap) { return make_peer(command, cap); };
  Method method{.name = name.empty() ? short_name(command) : name, .make = make, .command = command};
  TRY(method.about, about_peer(command));
  return method;
}

/// "cmd:COMMAND" or "NAME=cmd:COMMAND" as name and command.
std::optional<std::pair<std::string, std::string>> as_peer(const std::string& text) {
  constexpr std::string_view kMark = "cmd:";
  if (text.starts_with(kMark)) return std::pair{std::string(), text.substr(kMark.size())};
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || !std::string_view(text).substr(equals + 1).starts_with(kMark)) return std::nullopt;
  return std::pair{text.substr(0, equals), text.substr(equals + 1 + kMark.size())};
}

Result<std::vector<Method>> methods_in(const std::string& text) {
  std::vector<Method> methods;
  if (const auto peer = as_peer(text)) {
    TRY(methods.emplace_back(), peer_method(peer->first, peer->second));
    return methods;
  }
  std::istringstream names(text);
  for (std::string name; std::getline(names, name, ',');) {
    TRY(methods.emplace_back(), method_of(name));
  }
  return methods;
}

}  // namespace

Result<std::vector<Method>> parse_methods(const std::vector<std::string>& texts) {
  std::vector<Method> methods;
  for (const std::string& text : texts) {
    TRY(auto found, methods_in(text));
    std::move(found.begin(), found.end(), std::back_inserter(methods));
  }
  std::set<std::string> names;
  for (const Method& method : methods) {
    if (!names.insert(method.name).second) return fail(Errc::kInvalid, fmt::format("--methods names '{}' twice", method.name));
  }
  if (methods.empty()) return fail(Errc::kInvalid, "--methods names none", "the methods are " + method_names());
  return methods;
}

std::vector<std::string> usual_methods() {
  std::vector<std::string> names;
  for (const OptimizerDriver* driver : optimizer_drivers()) {
    if (driver->steered) names.emplace_back(driver->name);
  }
  names.insert(names.end(), {"eic", "gp", "random"});
  return names;
}

std::string method_names() {
  std::string names;
  for (const OptimizerDriver* driver : optimizer_drivers()) {
    names += fmt::format("{}, ", driver->name);
    if (!driver->steered) continue;
    for (const Variant& variant : kVariants) names += fmt::format("{}/{}, ", driver->name, variant.name);
  }
  return names + "gp, gp-max2, cmd:COMMAND";
}

std::string variants_help() {
  return "warm: knows a finished study of the family's next workload; wrong: knows a few trials of a machine that does not exist; "
         "phases: searches the CPU clock before the rest";
}

}  // namespace polythrottle::bench
