#include "workload/csv.h"

#include <fmt/format.h>

#include <set>

namespace polythrottle {
namespace {

/// Reads one record starting at `at`; advances `at` past its line end and `line` past the lines it spans.
Result<std::vector<std::string>> read_record(std::string_view text, std::size_t& at, std::size_t& line) {
  std::vector<std::string> cells(1);
  const std::size_t first_line = line;
  while (at < text.size() && text[at] != '\n') {
    const char c = text[at];
    if (c == '"' && cells.back().empty()) {
      ++at;
      for (;; ++at) {
        if (at >= text.size()) return fail(Errc::kCorrupt, fmt::format("line {}: a quote is never closed", first_line));
        if (text[at] == '\n') ++line;
        if (text[at] != '"') {
          cells.back() += text[at];
        } else if (at + 1 < text.size() && text[at + 1] == '"') {
          cells.back() += '"';
          ++at;
        } else {
          break;
        }
      }
      ++at;
      if (at < text.size() && text[at] == '\r') ++at;
      if (at < text.size() && text[at] != ',' && text[at] != '\n') {
        return fail(Errc::kCorrupt, fmt::format("line {}: text behind a closing quote", line));
      }
      continue;
    }
    ++at;
    if (c == ',') {
      cells.emplace_back();
    } else if (c == '\0') {
      return fail(Errc::kCorrupt, fmt::format("line {}: a NUL byte", line));
    } else if (c != '\r' || (at < text.size() && text[at] != '\n')) {
      cells.back() += c;
    }
  }
  ++at;
  ++line;
  return cells;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

Result<Csv> parse_csv(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  Csv csv;
  std::size_t line = 1;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = trim(text.substr(at, text.find('\n', at) - at));
    if (rest.empty() || rest.front() == '#') {
      if (!rest.empty()) csv.comments.emplace_back(trim(rest.substr(1)));
      const std::size_t end = text.find('\n', at);
      at = end == std::string_view::npos ? text.size() : end + 1;
      ++line;
      continue;
    }
    CsvRow row{line, {}};
    TRY(row.cells, read_record(text, at, line));
    if (csv.header.empty()) {
      std::set<std::string> seen;
      for (auto& name : row.cells) {
        name = std::string(trim(name));
        if (name.empty()) return fail(Errc::kCorrupt, fmt::format("line {}: a column without a name", row.line));
        if (!seen.insert(name).second) return fail(Errc::kCorrupt, fmt::format("line {}: column '{}' stands twice", row.line, name));
      }
      csv.header = std::move(row.cells);
      continue;
    }
    if (row.cells.size() != csv.header.size()) {
      return fail(Errc::kCorrupt, fmt::format("line {}: {} cells where the header has {}", row.line, row.cells.size(), csv.header.size()));
    }
    csv.rows.push_back(std::move(row));
  }
  if (csv.header.empty()) return fail(Errc::kInvalid, "no header line");
  return csv;
}

}  // namespace polythrottle
