#include "digits.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

Digits read_digits(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  Digits out;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    std::istringstream words(line);
    Digit digit;
    char comma = 0;
    double value = 0.0;
    for (float& pixel : digit.pixels) {
      if (!(words >> value >> comma) || comma != ',' || value < 0.0 || value > 16.0)
        throw std::runtime_error(path + ":" + std::to_string(number) + ": 64 numbers from 0 to 16 and a digit are wanted");
      pixel = static_cast<float>(value / 16.0);
    }
    if (!(words >> value) || value < 0.0 || value > 9.0) throw std::runtime_error(path + ":" + std::to_string(number) + ": no digit");
    digit.label = static_cast<int>(value);
    (number % 5 == 0 ? out.testing : out.training).push_back(digit);
  }
  if (out.testing.empty()) throw std::runtime_error(path + ": too few images");
  return out;
}
