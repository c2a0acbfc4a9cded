#pragma once
// Machines for the coverage of meters: the simulated boards, and a processor of nothing but a power signal and the files of a counter.

#include <cstdint>
#include <memory>
#include <string>

#include "e2e/energy_windows.h"

namespace polythrottle::coverage {

/// A simulated board; the meter is the one its rails give.
std::unique_ptr<Metered> board(const std::string& name, std::uint64_t seed);
/// RAPL: renewed every millisecond, in steps of 61 uJ. nullptr: no such driver.
std::unique_ptr<Metered> rapl_cpu(std::uint64_t seed);
/// The energy counter of an NVIDIA GPU: every 100 ms, in mJ. nullptr: no such driver.
std::unique_ptr<Metered> nvml_gpu(std::uint64_t seed);

}  // namespace polythrottle::coverage
