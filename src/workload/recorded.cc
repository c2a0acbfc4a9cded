#include "workload/recorded.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "base/stats.h"
#include "workload/csv.h"

namespace polythrottle {
namespace {

struct KnobColumn {
  std::string_view name, unit;
  Role role;
  bool label;  ///< text instead of a number
};
constexpr std::array kKnobColumns{
    KnobColumn{"gpu_mhz", "MHz", Role::kComputeClock, false}, KnobColumn{"mem_mhz", "MHz", Role::kMemoryClock, false},
    KnobColumn{"cpu_mhz", "MHz", Role::kHostClock, false},    KnobColumn{"cpu_cores", "", Role::kParallelism, false},
    KnobColumn{"power_limit_w", "W", Role::kPowerCap, false}, KnobColumn{"batch", "", Role::kBatch, false},
    KnobColumn{"num_gpus", "", Role::kParallelism, false},    KnobColumn{"precision", "", Role::kCategory, true},
    KnobColumn{"parallel", "", Role::kCategory, true},
};

struct ResultColumn {
  std::string_view name, metric;
  double scale;
};
constexpr std::array kResultColumns{
    ResultColumn{"latency_ms", kLatencyMean, 1e-3},       ResultColumn{"latency_p99_ms", kLatencyP99, 1e-3},
    ResultColumn{"throughput_per_s", kThroughput, 1.0},   ResultColumn{"power_w", kPower, 1.0},
    ResultColumn{"energy_j_per_inference", kEnergy, 1.0}, ResultColumn{"energy_proxy", kEnergyProxy, 1.0},
};

/// Batch sizes that Zeus's published tables compare against (NSDI 2023): the descriptions of those tables name them as reference.
constexpr std::array<std::pair<std::string_view, double>, 2> kPublishedBatch{{{"imagenet-", 256.0}, {"cifar100-", 1024.0}}};

std::string columns_known() {
  std::string out = "workload, repeat";
  for (const auto& k : kKnobColumns) out += fmt::format(", {}", k.name);
  for (const auto& r : kResultColumns) out += fmt::format(", {}", r.name);
  return out;
}

std::string_view trimmed(const std::string& text) {
  std::string_view v = text;
  while (!v.empty() && (v.front() == ' ' || v.front() == '\t')) v.remove_prefix(1);
  while (!v.empty() && (v.back() == ' ' || v.back() == '\t')) v.remove_suffix(1);
  return v;
}

Result<double> parse_number(std::string_view text, std::size_t line, std::string_view column) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return fail(Errc::kCorrupt, fmt::format("line {}: {}: '{}' is no number", line, column, text));
  }
  return value;
}

/// Position of each known column in the header; SIZE_MAX where absent.
struct Header {
  std::map<std::string, std::size_t, std::less<>> at;

  std::string_view cell(const CsvRow& row, std::string_view name) const {
    const auto it = at.find(name);
    return it == at.end() ? std::string_view{} : trimmed(row.cells[it->second]);
  }
};

Result<Header> read_header(const Csv& csv) {
  Header header;
  for (std::size_t i = 0; i < csv.header.size(); ++i) {
    const std::string& name = csv.header[i];
    const bool known = name == "workload" || name == "repeat" ||
                       std::any_of(kKnobColumns.begin(), kKnobColumns.end(), [&](const auto& k) { return k.name == name; }) ||
                       std::any_of(kResultColumns.begin(), kResultColumns.end(), [&](const auto& r) { return r.name == name; });
    if (!known) return fail(Errc::kCorrupt, fmt::format("unknown column '{}'", name), "the columns are " + columns_known());
    header.at.emplace(name, i);
  }
  return header;
}

Result<std::vector<const CsvRow*>> rows_of(const Csv& csv, const Header& header, std::string& workload) {
  if (csv.rows.empty()) return fail(Errc::kInvalid, "the table has no rows");
  std::set<std::string> names;
  for (const auto& row : csv.rows) names.emplace(header.cell(row, "workload"));
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  if (workload.empty()) {
    if (names.size() > 1) return fail(Errc::kInvalid, "the table has several workloads", "append #NAME with one of " + list);
    workload = *names.begin();
  }
  std::vector<const CsvRow*> rows;
  for (const auto& row : csv.rows) {
    if (header.cell(row, "workload") == workload) rows.push_back(&row);
  }
  if (rows.empty()) return fail(Errc::kInvalid, fmt::format("no workload '{}' in the table", workload), "it has " + list);
  return rows;
}

/// The columns that vary, with their levels.
Result<std::vector<Parameter>> read_parameters(const std::vector<const CsvRow*>& rows, const Header& header) {
  std::vector<Parameter> parameters;
  for (const auto& column : kKnobColumns) {
    if (!header.at.contains(column.name)) continue;
    std::set<Value> levels;
    const CsvRow* empty = nullptr;
    for (const CsvRow* row : rows) {
      const std::string_view cell = header.cell(*row, column.name);
      if (cell.empty()) {
        empty = row;
        continue;
      }
      if (column.label) {
        levels.insert(std::string(cell));
      } else {
        TRY(const double number, parse_number(cell, row->line, column.name));
        if (number <= 0.0) return fail(Errc::kCorrupt, fmt::format("line {}: {} must be above zero", row->line, column.name));
        levels.insert(number);
      }
    }
    if (levels.empty()) continue;
    if (empty != nullptr) {
      return fail(Errc::kCorrupt, fmt::format("line {}: {} is empty, and other rows of this workload have it", empty->line, column.name));
    }
    if (levels.size() < 2) continue;  // the same everywhere: a condition of the measurement, not a knob
    parameters.push_back(
        {std::string(column.name), std::string(column.unit), column.role, {levels.begin(), levels.end()}, "column of the recorded table"});
  }
  return parameters;
}

Result<Metrics> read_metrics(const CsvRow& row, const Header& header, std::size_t& derived) {
  Metrics metrics;
  for (const auto& column : kResultColumns) {
    const std::string_view cell = header.cell(row, column.name);
    if (cell.empty()) continue;
    TRY(const double number, parse_number(cell, row.line, column.name));
    if (number <= 0.0) return fail(Errc::kCorrupt, fmt::format("line {}: {} must be above zero", row.line, column.name));
    metrics[std::string(column.metric)] = {number * column.scale, {}, {}, {}};
  }
  const auto power = metrics.find(kPower), throughput = metrics.find(kThroughput);
  if (!metrics.contains(kEnergy) && power != metrics.end() && throughput != metrics.end()) {
    metrics[std::string(kEnergy)] = {power->second.value / throughput->second.value, {}, {}, {}};
    ++derived;
  }
  return metrics;
}

/// Where cells were measured several times, the scatter is every reading's error: a cell's own, or the table's pooled relative one for a
/// cell measured once. A table without repeats says nothing about its error, and neither do we.
bool state_errors(std::vector<std::vector<Metrics>>& cells) {
  bool any = false;
  for (const auto& row : metric_table()) {
    double squares = 0.0, freedom = 0.0;
    for (const auto& cell : cells) {
      std::vector<double> logs;
      for (const auto& m : cell) {
        if (const auto it = m.find(row.name); it != m.end()) logs.push_back(std::log(it->second.value));
      }
      if (logs.size() < 2) continue;
      squares += variance(logs) * static_cast<double>(logs.size() - 1);
      freedom += static_cast<double>(logs.size() - 1);
    }
    if (freedom < 1.0) continue;
    any = true;
    const double relative = std::sqrt(squares / freedom);
    for (auto& cell : cells) {
      for (auto& m : cell) {
        if (const auto it = m.find(row.name); it != m.end()) it->second.std_error = relative * it->second.value;
      }
    }
  }
  return any;
}

/// "# reference: batch=256" or "# reference WORKLOAD: batch=256,power_limit_w=250" in the file; else Zeus's batch for its workloads; else
/// every knob at its highest, but the smallest batch. Knobs not named take that default.
Result<Config> choose_reference(const RecordedTable& table, const std::vector<std::string>& comments) {
  Config wanted;
  for (const auto& p : table.space.parameters()) {
    const bool smallest = p.role == Role::kBatch || p.role == Role::kCategory;
    wanted.set(p.name, smallest ? p.levels.front() : p.levels.back());
    for (const auto& [prefix, batch] : kPublishedBatch) {
      if (p.role == Role::kBatch && table.workload.starts_with(prefix) &&
          std::find(p.levels.begin(), p.levels.end(), Value{batch}) != p.levels.end()) {
        wanted.set(p.name, batch);
      }
    }
  }
  for (const auto& comment : comments) {
    if (!comment.starts_with("reference")) continue;
    const std::size_t colon = comment.rfind(':');
    if (colon == std::string::npos) continue;
    const std::string head = comment.substr(9, colon - 9);
    const std::string_view name = trimmed(head);
    if (!name.empty() && name != table.workload) continue;
    if (comment.find('=', colon) == std::string::npos) continue;  // prose
    std::istringstream items(comment.substr(colon + 1));
    for (std::string item; std::getline(items, item, ',');) {
      const std::size_t equals = item.find('=');
      const std::string knob = std::string(trimmed(item.substr(0, equals)));
      const std::string text = equals == std::string::npos ? "" : std::string(trimmed(item.substr(equals + 1)));
      const auto& all = table.space.parameters();
      const auto p = std::find_if(all.begin(), all.end(), [&](const auto& candidate) { return candidate.name == knob; });
      if (p == all.end() && name.empty()) continue;  // said for all workloads, and does not vary in this one
      const auto level = p == all.end()
                             ? std::vector<Value>::const_iterator{}
                             : std::find_if(p->levels.begin(), p->levels.end(), [&](const Value& v) { return to_text(v) == text; });
      if (p == all.end() || level == p->levels.end()) {
        return fail(Errc::kCorrupt, fmt::format("the reference '{}' names no knob and level of workload '{}'", item, table.workload));
      }
      wanted.set(knob, *level);
    }
  }
  if (table.space.find(wanted)) return wanted;
  // A ragged table may lack that corner: take the row nearest to it, in levels.
  CandidateId best = 0;
  double least = INFINITY;
  for (CandidateId id = 0; id < table.space.size(); ++id) {
    double distance = 0.0;
    const Config config = table.space.config(id);
    for (const auto& p : table.space.parameters()) {
      const auto index = [&](const Value& v) { return std::distance(p.levels.begin(), std::find(p.levels.begin(), p.levels.end(), v)); };
      distance +=
          std::abs(static_cast<double>(index(*config.get(p.name)) - index(*wanted.get(p.name)))) / static_cast<double>(p.levels.size());
    }
    if (distance < least) least = distance, best = id;
  }
  return table.space.config(best);
}

class RecordedWorkload final : public Workload {
 public:
  RecordedWorkload(Host& host, RecordedTable table, Seconds pace) : host_(host), table_(std::move(table)), pace_(pace) {}

  std::span<const Parameter> parameters() const override { return table_.space.parameters(); }

  Status configure(const Config& config) override {
    const auto id = table_.space.find(config);
    if (!id) return fail(Errc::kOutOfRange, fmt::format("the table has no row for {}", config.text()));
    if (table_.cells[*id].empty()) return fail(Errc::kOutOfRange, fmt::format("the table has no result for {}", config.text()));
    current_ = *id;
    return {};
  }

  Status warm_up(std::stop_token) override { return {}; }

  Result<Work> run(const Budget& budget, std::stop_token stop) override {
    Work work;
    work.began = host_.clock.now();
    const auto end = work.began + pace_;
    for (auto now = work.began; now < end && !stop.stop_requested(); now = host_.clock.now()) {
      host_.clock.sleep_until(std::min(end, now + Seconds(0.01)));
    }
    const auto& cell = table_.cells[current_];
    std::mt19937_64 random(budget.seed);
    work.ready = cell[random() % cell.size()];
    work.ended = host_.clock.now();
    return work;
  }

 private:
  Host& host_;
  RecordedTable table_;
  Seconds pace_;
  CandidateId current_ = 0;
};

}  // namespace

Result<RecordedTable> parse_recorded_table(std::string_view text, std::string_view wanted) {
  TRY(const Csv csv, parse_csv(text));
  TRY(const Header header, read_header(csv));
  RecordedTable table;
  table.workload = wanted;
  TRY(const auto rows, rows_of(csv, header, table.workload));
  TRY(const auto parameters, read_parameters(rows, header));
  std::vector<Config> configs;
  std::map<std::string, std::size_t> known;                            // configuration -> candidate
  std::map<std::string, std::pair<const CsvRow*, std::string>> taken;  // configuration and repeat -> where
  std::size_t derived = 0;
  for (const CsvRow* row : rows) {
    Config config;
    for (const auto& p : parameters) {
      const std::string cell(header.cell(*row, p.name));
      if (p.ordered()) {
        TRY(const double number, parse_number(cell, row->line, p.name));
        config.set(p.name, number);
      } else {
        config.set(p.name, cell);
      }
    }
    std::string results;
    for (const auto& column : kResultColumns) results += std::string(header.cell(*row, column.name)) + ',';
    std::string repeat(header.cell(*row, "repeat"));
    if (repeat.empty()) repeat = "1";
    const auto [at, fresh] = taken.emplace(config.text() + " #" + repeat, std::pair(row, results));
    if (!fresh) {
      const bool same = at->second.second == results;
      return fail(Errc::kCorrupt,
                  fmt::format("line {} {} line {}: the same configuration and repeat{}", row->line, same ? "duplicates" : "contradicts",
                              at->second.first->line, same ? "" : " with other results"),
                  "number repeated measurements in the column 'repeat'");
    }
    TRY(auto metrics, read_metrics(*row, header, derived));
    const auto [it, added] = known.emplace(config.text(), configs.size());
    if (added) {
      configs.push_back(config);
      table.cells.emplace_back();
    }
    if (!metrics.empty()) table.cells[it->second].push_back(std::move(metrics));
  }
  const auto refused = std::count_if(table.cells.begin(), table.cells.end(), [](const auto& cell) { return cell.empty(); });
  if (refused == static_cast<std::ptrdiff_t>(table.cells.size())) return fail(Errc::kInvalid, "no row has a result");
  if (refused > 0) table.notes.push_back(fmt::format("{} settings stand in the table without a result: they are refused", refused));
  if (parameters.empty() && configs.size() == 1) {
    table.notes.emplace_back("no column varies: the table has one setting, so there is nothing to choose");
  }
  TRY(table.space, Space::list(parameters, configs));
  TRY(table.reference, choose_reference(table, csv.comments));
  if (derived > 0) {
    table.notes.push_back(fmt::format("{} of {} rows have no joules: energy = power / throughput was derived", derived, rows.size()));
  }
  table.states_errors = state_errors(table.cells);
  if (!table.states_errors) {
    table.notes.emplace_back("every cell was measured once: the table states no error, so no interval can be given");
  }
  return table;
}

Result<RecordedTable> read_recorded_table(const std::string& path, std::string_view workload) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return fail(Errc::kInvalid, "table " + path + ": it is a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file) return tl::unexpected<Error>(system_error("read table " + path, errno));
  std::ostringstream text;
  text << file.rdbuf();
  if (!file.good() && !file.eof()) return tl::unexpected<Error>(system_error("read table " + path, EIO));
  auto table = parse_recorded_table(text.str(), workload);
  if (!table) {
    Error error = table.error();
    error.what = "table " + path + ": " + error.what;
    return tl::unexpected<Error>(std::move(error));
  }
  return table;
}

std::unique_ptr<Workload> recorded_workload(Host& host, RecordedTable table, Seconds pace) {
  return std::make_unique<RecordedWorkload>(host, std::move(table), pace);
}

}  // namespace polythrottle
