#pragma once
// What a program prints, line by line, and what each line says of its work.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle {

/// One line of the plain protocol: {"latency_seconds": 0.0123, "inferences": 4}. Other members are ignored.
struct BatchReport {
  Seconds latency{0};
  std::optional<std::size_t> inferences;  ///< nullopt: not said
};
/// Nothing for a line that is no JSON object or has no latency_seconds. Errors: kCorrupt for a latency that is no number of seconds above
/// zero, or inferences that are no whole number from 1.
Result<std::optional<BatchReport>> parse_batch_report(std::string_view line);

/// What one line says. A line that says none of it is no report.
struct Said {
  bool begins = false;                          ///< the timed part begins
  bool ends = false;                            ///< it has just ended
  std::vector<Seconds> latencies;               ///< of batches, one each, in order
  std::optional<double> inferences;             ///< beside latencies: in each of these batches; else in the timed part
  std::optional<double> batches;                ///< in the timed part
  std::optional<double> inferences_per_second;  ///< of the timed part
  std::optional<double> batches_per_second;     ///< of the timed part
  std::optional<Seconds> timed;                 ///< length of the timed part, which has just ended
  std::map<std::string_view, Seconds> summary;  ///< latencies summed up, by metric name
  std::vector<std::size_t> matched;             ///< patterns that did, by their place in Reading::patterns

  bool anything() const {
    return begins || ends || !latencies.empty() || inferences || batches || inferences_per_second || batches_per_second || timed ||
           !summary.empty();
  }
};

/// A regular expression and what the number in its brackets means.
struct Pattern {
  std::string meaning;  ///< one of pattern_meanings(): "latency_ms", "begin"
  std::string regex;    ///< RE2 syntax; one pair of brackets around the number, none where the meaning is no number
};

/// How a program is understood. Copies share nothing that changes; safe from several threads.
struct Reading {
  std::string name;             ///< "json", "steps", a preset's, or "patterns"
  bool ends_by_itself = false;  ///< it does one timed part and ends; else it goes on until it is stopped
  bool errors_too = false;      ///< what it prints on standard error is read as well
  bool talks = false;           ///< the step protocol
  std::string wants;            ///< for people: what it must print, and the flags that make it
  std::vector<Pattern> patterns;
  std::function<Result<Said>(std::string_view line)> read;
};

/// By the words of --read: json (also ""), steps, or a preset. Errors: kInvalid with the list.
Result<Reading> reading_of(std::string_view how);
/// From patterns of the user's, each NAME=REGEX. The program ends by itself unless all it says is batches.
/// Errors: kInvalid for a meaning that is none (with the list), an expression that does not compile (with where), the wrong number of
/// brackets, and patterns from which no latency or no count can come.
Result<Reading> reading_by_patterns(const std::vector<std::string>& typed);
/// For those that are known to be right, as the presets are: each line is tried with all of them; a line is looked at as far as 16 KiB.
/// Its `read` fails with kCorrupt where what stands in the brackets is no such number.
Result<Reading> reading_by(std::string name, std::vector<Pattern> patterns);

/// "begin, end, latency_seconds, ..."
std::string pattern_meanings();

}  // namespace polythrottle
