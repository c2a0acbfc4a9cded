// A recorded table from anywhere: it parses or is refused with one line, and what parses is consistent.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "workload/csv.h"
#include "workload/recorded.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto csv = parse_csv(text);
  if (csv) {
    for (const auto& row : csv->rows) {
      if (row.cells.size() != csv->header.size()) std::abort();
    }
  }
  const auto table = parse_recorded_table(text, "");
  if (!table) return 0;
  if (table->cells.size() != table->space.size()) std::abort();
  if (!table->space.find(table->reference)) std::abort();
  return 0;
}
