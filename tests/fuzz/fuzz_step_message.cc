// What a job says on the step protocol, and specs of jobs as clients post them.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "job/job.h"
#include "job/step_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle::job;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto message = parse_step_message(text);
  if (!message) {
    if (message.error().what.empty()) std::abort();
    for (const char c : message.error().what) {
      if (c < ' ') std::abort();
    }
  } else if (const auto* hello = std::get_if<StepHello>(&*message)) {
    if (hello->items < 1 || hello->pieces.empty() || hello->pieces.front() != hello->items) std::abort();
    for (const int piece : hello->pieces) {
      if (piece < 1 || hello->items % piece != 0) std::abort();
    }
    if (hello->steps && *hello->steps < 1) std::abort();
    if (hello->cost && !(hello->cost->macs >= 0.0)) std::abort();
  } else if (const auto* want = std::get_if<StepWant>(&*message)) {
    if (want->items < 1) std::abort();
  }
  const auto spec = parse_spec(text);
  if (!spec) {
    if (spec.error().what.empty()) std::abort();
  } else {
    // Times go through text, which need not give the last bit back; everything else must.
    const auto back = parse_spec(to_json(*spec));
    if (!back || back->command != spec->command || back->environment != spec->environment || back->name != spec->name) std::abort();
  }
  return 0;
}
