#include "host/simulation/faults.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <utility>

namespace polythrottle::simulation {
namespace {

constexpr std::array kKinds{std::pair{FaultKind::kRefuse, "refuse"},  std::pair{FaultKind::kLie, "lie"},
                            std::pair{FaultKind::kDeaf, "deaf"},      std::pair{FaultKind::kStick, "stick"},
                            std::pair{FaultKind::kGoBack, "go-back"}, std::pair{FaultKind::kEagain, "eagain"},
                            std::pair{FaultKind::kVanish, "vanish"},  std::pair{FaultKind::kRival, "rival"}};
constexpr std::array kErrors{std::pair{"EACCES", EACCES}, std::pair{"EPERM", EPERM}, std::pair{"EBUSY", EBUSY},
                             std::pair{"EINVAL", EINVAL}, std::pair{"EIO", EIO},     std::pair{"EROFS", EROFS}};

/// The names in a table, for messages.
template <class Table, class Name>
std::string known(const Table& table, Name name) {
  std::string names;
  for (const auto& entry : table) names += (names.empty() ? "" : ", ") + std::string(name(entry));
  return names;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Seconds> seconds(std::string_view text) {
  const auto value = number<double>(text);
  if (!value || !std::isfinite(*value) || *value < 0.0) return std::nullopt;
  return Seconds(*value);
}

tl::unexpected<Error> wrong(std::string_view entry, const std::string& why) {
  return fail(Errc::kInvalid, "fault plan: '" + std::string(entry) + "': " + why, "KIND:PATH[=VALUE][@FROM[..TO]][*COUNT]");
}

Result<Fault> parse(std::string_view entry) {
  Fault fault;
  const auto colon = entry.find(':');
  const std::string_view kind = entry.substr(0, colon);
  bool found = false;
  for (const auto& [value, name] : kKinds) {
    if (kind != name) continue;
    fault.kind = value;
    found = true;
  }
  if (!found || colon == std::string_view::npos)
    return wrong(entry, "no such kind; kinds: " + known(kKinds, [](const auto& row) { return row.second; }));
  std::string_view rest = entry.substr(colon + 1);
  // Paths hold ':' and '-', but neither '*' nor '@' nor '='; what stands behind those is taken off from the end.
  if (const auto star = rest.rfind('*'); star != std::string_view::npos) {
    const auto count = number<int>(trimmed(rest.substr(star + 1)));
    if (!count || *count < 1) return wrong(entry, "behind * stands how often, a whole number from 1");
    fault.left = *count;
    rest = rest.substr(0, star);
  }
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view span = trimmed(rest.substr(at + 1));
    const auto dots = span.find("..");
    const auto from = seconds(span.substr(0, dots));
    if (!from) return wrong(entry, "behind @ stands a time in seconds, or two with .. between them");
    fault.from = *from;
    if (dots != std::string_view::npos) {
      const auto until = seconds(span.substr(dots + 2));
      if (!until || *until <= *from) return wrong(entry, "its end is not a time after its beginning");
      fault.until = *until;
    }
    rest = rest.substr(0, at);
  }
  if (const auto equal = rest.find('='); equal != std::string_view::npos) {
    fault.value = std::string(trimmed(rest.substr(equal + 1)));
    rest = rest.substr(0, equal);
    if (fault.value.empty()) return wrong(entry, "nothing stands behind =");
  }
  fault.path = std::string(trimmed(rest));
  while (fault.path.size() > 1 && fault.path.ends_with('/')) fault.path.pop_back();
  if (!fault.path.starts_with('/')) return wrong(entry, "a path starts with /");

  switch (fault.kind) {
    case FaultKind::kRefuse:
      fault.error_number = EACCES;
      if (!fault.value.empty()) {
        fault.error_number = 0;
        for (const auto& [name, value] : kErrors) {
          if (fault.value == name) fault.error_number = value;
        }
        if (fault.error_number == 0)
          return wrong(entry, "no such error; errors: " + known(kErrors, [](const auto& row) { return row.first; }));
      }
      break;
    case FaultKind::kGoBack:
      if (!fault.value.empty()) {
        const auto delay = seconds(fault.value);
        if (!delay || *delay <= Seconds(0)) return wrong(entry, "behind = stands after how many seconds, above 0");
        fault.delay = *delay;
      }
      break;
    case FaultKind::kRival:
      if (fault.value.empty()) return wrong(entry, "behind = stands what the rival writes");
      break;
    default:
      if (!fault.value.empty()) return wrong(entry, "this kind takes no value");
  }
  return fault;
}

}  // namespace

const char* to_string(FaultKind kind) {
  for (const auto& [value, name] : kKinds) {
    if (kind == value) return name;
  }
  return "refuse";
}

Result<std::vector<Fault>> parse_faults(std::string_view text) {
  std::vector<Fault> faults;
  while (!text.empty()) {
    const auto end = text.find_first_of(",\n");
    const std::string_view entry = trimmed(text.substr(0, end));
    if (!entry.empty()) {
      TRY(Fault fault, parse(entry));
      faults.push_back(std::move(fault));
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return faults;
}

bool FaultPlan::vanished(std::string_view resolved, Seconds now) const {
  for (const Fault& fault : faults_) {
    if (fault.kind != FaultKind::kVanish || !fault.acts_at(now)) continue;
    const bool inside = resolved.size() > fault.path.size() && resolved[fault.path.size()] == '/';
    if (resolved.starts_with(fault.path) && (inside || resolved.size() == fault.path.size())) return true;
  }
  return false;
}

Fault* FaultPlan::spoils(FaultKind kind, std::string_view resolved, Seconds now) {
  for (Fault& fault : faults_) {
    if (fault.kind != kind || fault.path != resolved || !fault.acts_at(now)) continue;
    if (fault.left) --*fault.left;
    return &fault;
  }
  return nullptr;
}

}  // namespace polythrottle::simulation
