#include "arrivals/arrivals.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>

namespace polythrottle {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Takes the next field of a CSV line, without its quotes. Doubled quotes inside a field stay doubled: no time or column name has any.
std::string_view take_field(std::string_view& line) {
  line = trimmed(line);
  std::string_view field;
  if (!line.empty() && line.front() == '"') {
    const auto end = line.find('"', 1);
    field = line.substr(1, end == std::string_view::npos ? end : end - 1);
    line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
    const auto comma = line.find(',');
    line.remove_prefix(comma == std::string_view::npos ? line.size() : comma + 1);
    return trimmed(field);
  }
  const auto comma = line.find(',');
  field = line.substr(0, comma);
  line.remove_prefix(comma == std::string_view::npos ? line.size() : comma + 1);
  return trimmed(field);
}

std::string_view field_at(std::string_view line, std::size_t column) {
  for (; column > 0; --column) take_field(line);
  return take_field(line);
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0.0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

/// Exactly `digits` decimal digits, taken from the front.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

/// Whole days and the rest apart: a date in seconds leaves a double no more than 0.2 microseconds of resolution.
struct Moment {
  std::int64_t day = 0;
  double second = 0.0;
};

std::optional<Moment> parse_date_time(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !(take(text, ' ') || take(text, 'T'))) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || !take(text, ':')) return std::nullopt;
  const auto second = take_digits(text, 2);
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!second || !date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;

  double fraction = 0.0;
  if (take(text, '.')) {
    double scale = 0.1;
    const auto before = text.size();
    while (const auto digit = take_digits(text, 1)) {
      fraction += *digit * scale;
      scale *= 0.1;
    }
    if (text.size() == before) return std::nullopt;
  }
  int offset_minutes = 0;
  if (!text.empty() && !take(text, 'Z')) {
    const bool east = text.front() == '+';
    if (!take(text, '+') && !take(text, '-')) return std::nullopt;
    const auto hours = take_digits(text, 2);
    if (!hours || !take(text, ':')) return std::nullopt;
    const auto minutes = take_digits(text, 2);
    if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    offset_minutes = (*hours * 60 + *minutes) * (east ? 1 : -1);
  }
  if (!text.empty()) return std::nullopt;
  return Moment{std::chrono::sys_days(date).time_since_epoch().count(),
                *hour * 3600.0 + (*minute - offset_minutes) * 60.0 + *second + fraction};
}

std::optional<Moment> parse_moment(std::string_view text) {
  if (const auto number = parse_number(text)) return Moment{0, *number};
  return parse_date_time(text);
}

Result<Arrivals> bad_rate(double rate) {
  return fail(Errc::kInvalid, fmt::format("an arrival rate of {} per second", rate), "give a rate above 0");
}

bool good_rate(double rate) { return rate > 0.0 && std::isfinite(rate) && std::isfinite(1.0 / rate); }

}  // namespace

Result<Arrivals> Arrivals::uniform(double rate_per_second) {
  if (!good_rate(rate_per_second)) return bad_rate(rate_per_second);
  return Arrivals(Kind::kUniform, rate_per_second, 0);
}

Result<Arrivals> Arrivals::poisson(double rate_per_second, std::uint64_t seed) {
  if (!good_rate(rate_per_second)) return bad_rate(rate_per_second);
  return Arrivals(Kind::kPoisson, rate_per_second, seed);
}

Result<Arrivals> Arrivals::recorded(std::vector<double> times, std::optional<double> rate_per_second) {
  if (rate_per_second && !good_rate(*rate_per_second)) return bad_rate(*rate_per_second);
  if (times.empty()) return fail(Errc::kInvalid, "an arrival trace without a request");
  const double first = times.front();
  double before = first;
  for (auto& time : times) {
    if (!std::isfinite(time) || !std::isfinite(time - first)) return fail(Errc::kInvalid, "an arrival time that is not finite");
    if (time < before) return fail(Errc::kInvalid, fmt::format("arrival times out of order: {} s after {} s", time, before));
    before = time;
    time -= first;
  }
  const auto count = static_cast<double>(times.size());
  const double span = times.back();
  if (span <= 0.0 && !rate_per_second) {
    return fail(Errc::kInvalid, "all requests of the arrival trace come at one moment, so it has no rate", "give a rate with --rate");
  }
  // The gap between two rounds is the mean gap of the trace.
  const double own_rate = span > 0.0 ? (count - 1.0) / span : *rate_per_second;
  const double rate = rate_per_second.value_or(own_rate);
  if (!good_rate(rate)) return bad_rate(rate);
  for (auto& time : times) time *= own_rate / rate;
  Arrivals arrivals(Kind::kRecorded, rate, 0);
  arrivals.times_ = std::move(times);
  arrivals.period_ = count / rate;
  return arrivals;
}

Result<Arrivals> Arrivals::load(const std::string& path, std::optional<double> rate_per_second) {
  TRY(auto times, load_arrival_times(path));
  auto arrivals = recorded(std::move(times), rate_per_second);
  if (!arrivals) return fail(arrivals.error().code, path + ": " + arrivals.error().what, arrivals.error().hint);
  return arrivals;
}

Seconds Arrivals::next() {
  switch (kind_) {
    case Kind::kUniform: return Seconds(static_cast<double>(index_++) / rate_);
    case Kind::kPoisson: {
      // (0, 1], 53 bits: the distributions of the standard library differ between implementations.
      const double uniform = static_cast<double>((random_() >> 11) + 1) * 0x1p-53;
      last_ += -std::log(uniform) / rate_;
      return Seconds(last_);
    }
    case Kind::kRecorded: break;
  }
  const double time = static_cast<double>(round_) * period_ + times_[index_];
  if (++index_ == times_.size()) {
    index_ = 0;
    ++round_;
  }
  return Seconds(time);
}

void Arrivals::restart() {
  random_.seed(seed_);
  index_ = round_ = 0;
  last_ = 0.0;
}

Result<std::vector<double>> load_arrival_times(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return tl::unexpected<Error>(system_error("open " + path, errno));
  std::string text;
  std::array<char, 65536> block;
  while (const std::size_t size = std::fread(block.data(), 1, block.size(), file.get())) text.append(block.data(), size);
  if (std::ferror(file.get())) return tl::unexpected<Error>(system_error("read " + path, errno));
  auto times = parse_arrivals(text);
  if (!times) return fail(times.error().code, path + ": " + times.error().what, times.error().hint);
  return times;
}

Result<std::vector<double>> parse_arrivals(std::string_view text) {
  constexpr std::array<std::string_view, 4> kColumns = {"TIMESTAMP", "timestamp", "time", "arrival_seconds"};
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // byte order mark
  std::vector<double> times;
  std::size_t column = 0, number = 0;
  bool first = true;
  std::int64_t first_day = 0;
  double origin = 0.0;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    if (std::exchange(first, false) && !parse_moment(field_at(line, 0))) {
      std::optional<std::size_t> found;
      for (const auto name : kColumns) {
        std::size_t index = 0;
        for (std::string_view rest = line; !rest.empty() && !found; ++index) {
          if (take_field(rest) == name) found = index;
        }
        if (found) break;
      }
      if (!found) {
        return fail(Errc::kCorrupt, fmt::format("line {}: neither a time nor a header with a column of times", number),
                    "name the column TIMESTAMP, timestamp, time or arrival_seconds");
      }
      column = *found;
      continue;
    }
    const auto field = field_at(line, column);
    const auto moment = parse_moment(field);
    if (!moment) {
      return fail(Errc::kCorrupt, fmt::format("line {}: \"{}\" is no time", number, field.substr(0, 40)),
                  "seconds, or a date and time like 2023-11-16 18:17:03.98");
    }
    if (times.empty()) {
      first_day = moment->day;
      origin = moment->second;
    }
    const double time = static_cast<double>(moment->day - first_day) * 86400.0 + (moment->second - origin);
    if (!std::isfinite(time)) return fail(Errc::kCorrupt, fmt::format("line {}: {} s is too far from the first time", number, field));
    if (!times.empty() && time < times.back()) {
      return fail(Errc::kCorrupt, fmt::format("line {}: {} comes before the line above it", number, field), "sort the file by time");
    }
    times.push_back(time);
  }
  if (times.empty())
    return fail(Errc::kCorrupt, number == 0 ? "line 1: the file is empty" : fmt::format("line {}: no request in the file", number));
  return times;
}

}  // namespace polythrottle
