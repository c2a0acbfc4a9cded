#pragma once
// Comma-separated values (RFC 4180), read with line numbers so that every complaint can name its line.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace polythrottle {

struct CsvRow {
  std::size_t line = 0;  ///< 1-based, of the row's first character
  std::vector<std::string> cells;
};

struct Csv {
  std::vector<std::string> header;
  std::vector<CsvRow> rows;
  std::vector<std::string> comments;  ///< lines starting with '#', without it, trimmed
};

/// Comma as separator, double quotes around cells that need them, LF or CRLF, an optional byte-order mark; empty lines and lines starting
/// with '#' are skipped. Every row has as many cells as the header.
/// Errors: kCorrupt naming the line: an unclosed quote, text behind a closing quote, a row of another length, a repeated or empty column
/// name, a NUL byte; kInvalid if there is no header.
Result<Csv> parse_csv(std::string_view text);

}  // namespace polythrottle
