// The words of a job, of a time and of an SLO that changes: a value that can be, or one line of complaint.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "replay/duration.h"
#include "replay/job.h"
#include "replay/slo_schedule.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  using namespace polythrottle::replay;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto time = parse_duration(text)) {
    must(*time >= Seconds(0) && *time <= Seconds(1e7) && !duration_text(*time).empty());
  } else {
    must(!time.error().what.empty());
  }
  if (const auto job = parse_finetune(text)) {
    must(job->batch >= 1 && job->iterations >= 1 && job->outputs >= 1 && job->pieces.front() == job->batch);
    for (const int piece : job->pieces) must(piece >= 1 && job->batch % piece == 0 && piece % job->pieces.back() == 0);
    const auto again = parse_finetune(to_text(*job));
    must(again && again->pieces == job->pieces && again->iterations == job->iterations);
  } else {
    must(!job.error().what.empty());
  }
  if (const auto slo = parse_slo_schedule(text)) {
    must(slo->tightest() > Seconds(0) && !slo->text().empty());
    for (std::size_t i = 1; i < slo->changes.size(); ++i) must(slo->changes[i - 1].at < slo->changes[i].at);
  } else {
    must(!slo.error().what.empty());
  }
  return 0;
}
