#pragma once
// Handwritten digits, 8 x 8 grey pixels each (Alpaydin and Kaynak 1998, UCI "Optical Recognition of Handwritten Digits"), as
// scikit-learn ships them: a line an image, 64 numbers from 0 to 16 and the digit.

#include <array>
#include <string>
#include <vector>

struct Digit {
  std::array<float, 64> pixels{};  ///< in [0, 1], row by row
  int label = 0;                   ///< 0 to 9
};

/// Every fifth image is for testing, and no training sees it.
struct Digits {
  std::vector<Digit> training, testing;
};

/// Throws std::runtime_error naming file and line.
Digits read_digits(const std::string& path);
