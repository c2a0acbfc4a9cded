// A lease record from anywhere, read by root: one that could be ours, with nodes of the machine only, or one line of complaint.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "knob/lease_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const auto record = parse_record(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!record) {
    if (record.error().what.empty() || record.error().what.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  for (const auto& knob : record->knobs) {
    for (const auto& node : knob.nodes) {
      if (!is_machine_path(node.path) || node.path.find("/../") != std::string::npos) std::abort();
    }
  }
  // What is read once is written and read again as the same.
  const std::string text = record_text(*record);
  const auto again = parse_record(text);
  if (!again || record_text(*again) != text) std::abort();
  return 0;
}
