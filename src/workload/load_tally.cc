#include "workload/load_tally.h"

#include <algorithm>
#include <cctype>

namespace polythrottle {
namespace {

constexpr std::size_t kReasons = 50;
constexpr Seconds kLag{1e-3};
constexpr double kLagShare = 0.1;

/// "HTTP 503: past by 12.5 ms" becomes "HTTP 503: past by N ms".
std::string kind_of(const std::string& reason) {
  std::string out;
  std::size_t at = reason.starts_with("HTTP ") ? std::min(reason.find(':'), reason.size()) : 0;
  out = reason.substr(0, at);
  for (bool number = false; at < reason.size(); ++at) {
    const bool digit = std::isdigit(static_cast<unsigned char>(reason[at])) != 0;
    const bool point =
        number && reason[at] == '.' && at + 1 < reason.size() && std::isdigit(static_cast<unsigned char>(reason[at + 1])) != 0;
    if (digit && !number) out += 'N';
    if (!digit && !point) out += reason[at];
    number = digit || point;
  }
  return out;
}

void count(std::map<std::string, std::uint64_t>& reasons, const std::string& reason) {
  std::string kind = kind_of(reason);
  if (reasons.size() >= kReasons && !reasons.contains(kind)) kind = "other";
  ++reasons[kind];
}

}  // namespace

void LoadTally::add(const Exchange& exchange) {
  ++sent;
  waited += exchange.waited ? 1 : 0;
  lag.add(exchange.lag());
  switch (exchange.outcome) {
    case Exchange::Outcome::kAnswered:
      ++answered;
      latency.add(exchange.latency());
      if (slo && exchange.latency() <= *slo) ++in_time;
      break;
    case Exchange::Outcome::kDropped:
      ++dropped;
      count(dropped_why, exchange.reason);
      break;
    case Exchange::Outcome::kFailed:
      ++failed;
      count(failed_why, exchange.reason);
      break;
    case Exchange::Outcome::kUnanswered: ++unanswered; break;
  }
}

std::optional<double> LoadTally::attainment() const {
  if (!slo || sent == 0) return std::nullopt;
  return static_cast<double>(in_time) / static_cast<double>(sent);
}

bool LoadTally::generator_was_late() const {
  const auto late = lag.quantile(0.99);
  if (!late || *late <= kLag) return false;
  const auto slow = latency.quantile(0.99);
  return !slow || *late > kLagShare * *slow;
}

}  // namespace polythrottle
