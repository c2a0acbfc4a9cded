#include "workload/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace polythrottle {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

constexpr std::string_view kForAShell = "|&;<>()$`";

/// How many of this placeholder's unit a second has; 0: it is none.
double of_window(std::string_view inner) {
  if (inner == "window.seconds") return 1.0;
  return inner == "window.milliseconds" ? 1e3 : 0.0;
}

tl::unexpected<Error> open_quote(std::string_view flag, char quote) {
  return fail(Errc::kInvalid, fmt::format("{}: a quote {} is not closed", flag, quote));
}

}  // namespace

bool is_knob_name(std::string_view name) {
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

Result<std::vector<std::string>> shell_words(std::string_view text, std::string_view flag) {
  if (text.find('\0') != std::string_view::npos) return fail(Errc::kInvalid, fmt::format("{}: it holds a NUL", flag));
  std::vector<std::string> out;
  std::optional<std::string> word;
  const auto end_word = [&] {
    if (word) out.push_back(std::move(*word));
    word.reset();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_blank(c)) {
      end_word();
      continue;
    }
    if (!word) word.emplace();
    if (c == '\'') {
      const std::size_t end = text.find('\'', i + 1);
      if (end == std::string_view::npos) return open_quote(flag, c);
      *word += text.substr(i + 1, end - i - 1);
      i = end;
    } else if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        const bool quotes =
            text[i] == '\\' && i + 1 < text.size() && std::string_view("\"\\$`").find(text[i + 1]) != std::string_view::npos;
        if (quotes) ++i;
        *word += text[i];
      }
      if (i == text.size()) return open_quote(flag, c);
    } else if (c == '\\') {
      if (++i == text.size()) return fail(Errc::kInvalid, fmt::format("{}: it ends in a backslash", flag));
      *word += text[i];
    } else if (kForAShell.find(c) != std::string_view::npos) {
      return fail(Errc::kInvalid, fmt::format("{}: no shell reads it, and '{}' outside quotes means something to a shell only", flag, c),
                  "quote it, or write sh -c '...'");
    } else {
      *word += c;
    }
  }
  end_word();
  if (out.empty()) return fail(Errc::kInvalid, fmt::format("{} is empty", flag), "name the program and its arguments");
  return out;
}

Result<CommandLine> CommandLine::parse(std::string_view text) {
  TRY(const auto words, shell_words(text, "--command"));
  CommandLine out;
  out.text_ = text;
  for (const auto& word : words) out.words_.push_back(out.pieces_of(word));
  return out;
}

Result<CommandLine> CommandLine::one_word(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return fail(Errc::kInvalid, "it holds a NUL");
  CommandLine out;
  out.text_ = text;
  out.words_.push_back(out.pieces_of(text));
  return out;
}

CommandLine::Word CommandLine::pieces_of(std::string_view word) {
  Word out;
  const auto add_text = [&](std::string_view text) {
    if (out.empty() || out.back().is_name || out.back().of_window > 0.0) out.emplace_back();
    out.back().text += text;
  };
  add_text("");
  for (std::size_t i = 0; i < word.size(); ++i) {
    const std::size_t close = word[i] == '{' ? word.find('}', i) : std::string_view::npos;
    if (close == std::string_view::npos) {
      add_text(word.substr(i, 1));
      continue;
    }
    const std::string_view inner = word.substr(i + 1, close - i - 1);
    if (is_knob_name(inner)) {
      out.push_back({std::string(inner), true});
      if (std::find(names_.begin(), names_.end(), inner) == names_.end()) names_.emplace_back(inner);
      i = close;
    } else if (const double unit = of_window(inner); unit > 0.0) {
      out.push_back({{}, false, unit});
      i = close;
    } else if (inner.starts_with('{') && (is_knob_name(inner.substr(1)) || of_window(inner.substr(1)) > 0.0) &&
               word.substr(close).starts_with("}}")) {
      add_text(word.substr(i + 1, inner.size() + 1));
      i = close + 1;
    } else {
      add_text("{");
    }
  }
  return out;
}

std::string CommandLine::program() const {
  std::string out;
  for (const auto& piece : words_.front()) {
    if (piece.is_name || piece.of_window > 0.0) return {};
    out += piece.text;
  }
  return out;
}

Result<std::vector<std::string>> CommandLine::words(const Config& config, Seconds window) const {
  std::vector<std::string> out;
  for (const auto& word : words_) {
    std::string& whole = out.emplace_back();
    for (const auto& piece : word) {
      if (piece.of_window > 0.0) {
        whole += fmt::format("{}", window.count() * piece.of_window);
        continue;
      }
      if (!piece.is_name) {
        whole += piece.text;
        continue;
      }
      const auto level = config.get(piece.text);
      if (!level) return fail(Errc::kInvalid, fmt::format("the command's {{{}}} has no level", piece.text));
      whole += to_text(*level);
    }
  }
  return out;
}

}  // namespace polythrottle
