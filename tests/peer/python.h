#pragma once
// Peers written in Python, with the distribution's packages; they share no code with ours.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace polythrottle::peer {

constexpr const char* kPython = "/usr/bin/python3";

/// Are these modules there? `modules`: "grpc, numpy"
inline bool has_python(const std::string& modules) {
  return std::system((std::string(kPython) + " -c 'import " + modules + "' 2>/dev/null").c_str()) == 0;
}

}  // namespace polythrottle::peer

#define SKIP_WITHOUT_PYTHON(modules)              \
  if (!::polythrottle::peer::has_python(modules)) \
  GTEST_SKIP() << "SKIPPED: no " << modules << " for /usr/bin/python3 (scripts/setup test installs them)"
