#include "space/config.h"

#include <algorithm>

namespace polythrottle {
namespace {

auto find_entry(const std::vector<Config::Entry>& entries, std::string_view name) {
  return std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == name; });
}

}  // namespace

void Config::set(std::string_view name, Value value) {
  for (auto& entry : entries_) {
    if (entry.first == name) {
      entry.second = std::move(value);
      return;
    }
  }
  entries_.emplace_back(std::string(name), std::move(value));
}

std::optional<Value> Config::get(std::string_view name) const {
  const auto it = find_entry(entries_, name);
  if (it == entries_.end()) return std::nullopt;
  return it->second;
}

std::optional<double> Config::number(std::string_view name) const {
  const auto it = find_entry(entries_, name);
  if (it == entries_.end() || !std::holds_alternative<double>(it->second)) return std::nullopt;
  return std::get<double>(it->second);
}

std::string Config::text() const {
  std::string out;
  for (const auto& [name, value] : entries_) {
    if (!out.empty()) out += ' ';
    out += name + '=' + to_text(value);
  }
  return out;
}

bool operator==(const Config& a, const Config& b) {
  if (a.entries_.size() != b.entries_.size()) return false;
  return std::all_of(a.entries_.begin(), a.entries_.end(), [&](const auto& entry) { return b.get(entry.first) == entry.second; });
}

}  // namespace polythrottle
