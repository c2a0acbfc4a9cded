#include "arrivals/spec.h"

#include <fmt/format.h>

namespace polythrottle {
namespace {

constexpr std::string_view kBursty = "#bursty";
constexpr const char* kForms = "give uniform, poisson, FILE or FILE#bursty";

}  // namespace

Result<ArrivalSpec> ArrivalSpec::parse(std::string_view text) {
  if (text == "uniform") return ArrivalSpec{Kind::kUniform, {}};
  if (text == "poisson") return ArrivalSpec{Kind::kPoisson, {}};
  if (text.empty()) return fail(Errc::kInvalid, "arrivals: nothing is given", kForms);
  if (!text.ends_with(kBursty)) return ArrivalSpec{Kind::kTrace, std::string(text)};
  text.remove_suffix(kBursty.size());
  if (text.empty()) return fail(Errc::kInvalid, "arrivals '#bursty': no file is named", kForms);
  if (text == "uniform" || text == "poisson")
    return fail(Errc::kInvalid, fmt::format("arrivals '{}#bursty': only a trace has segments", text), kForms);
  return ArrivalSpec{Kind::kBurstySegment, std::string(text)};
}

std::string ArrivalSpec::text() const {
  switch (kind) {
    case Kind::kUniform: return "uniform";
    case Kind::kPoisson: return "poisson";
    case Kind::kTrace: return path;
    case Kind::kBurstySegment: break;
  }
  return path + std::string(kBursty);
}

Result<Arrivals> ArrivalSpec::open(std::optional<double> rate, std::uint64_t seed, Seconds segment) const {
  if (kind == Kind::kUniform || kind == Kind::kPoisson) {
    if (!rate) return fail(Errc::kInvalid, fmt::format("{} arrivals need a rate", text()), "give one with --rate");
    return kind == Kind::kUniform ? Arrivals::uniform(*rate) : Arrivals::poisson(*rate, seed);
  }
  auto times = load_arrival_times(path);
  if (!times) {
    Error error = times.error();
    if (error.code == Errc::kNotFound && error.hint.empty()) error.hint = kForms;
    return tl::unexpected<Error>(std::move(error));
  }
  auto arrivals =
      kind == Kind::kTrace ? Arrivals::recorded(std::move(*times), rate) : Arrivals::bursty_segment(std::move(*times), segment, rate);
  if (!arrivals) return fail(arrivals.error().code, path + ": " + arrivals.error().what, arrivals.error().hint);
  return arrivals;
}

}  // namespace polythrottle
