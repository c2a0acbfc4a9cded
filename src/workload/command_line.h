#pragma once
// A command as a user types it, with knobs in it.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "space/config.h"

namespace polythrottle {

/// May a knob be called so? A letter or _, then letters, digits and _.
bool is_knob_name(std::string_view name);

/// Words as a shell splits them, and no more than that: blanks separate, '...' and "..." and \ quote. `flag` begins every complaint.
/// Errors: kInvalid for no word at all, an open quote, a NUL, or a character outside quotes that only a shell understands.
Result<std::vector<std::string>> shell_words(std::string_view text, std::string_view flag);

/// Split into words as a shell does, and no more than that: blanks separate, '...' and "..." and \ quote. In any word {NAME} stands for
/// the level of a knob, {{NAME}} for the characters {NAME}, {window.seconds} and {window.milliseconds} for the length of the window (no
/// knob can have such a name); every other brace is itself.
class CommandLine {
 public:
  /// Errors: kInvalid for no word at all, an open quote, a NUL, or a character outside quotes that only a shell understands.
  static Result<CommandLine> parse(std::string_view text);

  /// One word, taken as it stands: nothing in it quotes or separates. Errors: kInvalid for a NUL.
  static Result<CommandLine> one_word(std::string_view text);

  const std::string& text() const { return text_; }
  /// Names of the knobs in it, in the order they first stand there.
  const std::vector<std::string>& names() const { return names_; }
  /// The program to start; empty if its name depends on a knob.
  std::string program() const;
  /// Its words under a setting and for a window. Errors: kInvalid for a name that `config` lacks.
  Result<std::vector<std::string>> words(const Config& config, Seconds window = Seconds(1)) const;

 private:
  struct Piece {
    std::string text;
    bool is_name = false;    ///< of a knob
    double of_window = 0.0;  ///< above 0: the window's length in seconds times this
  };
  using Word = std::vector<Piece>;
  Word pieces_of(std::string_view word);

  std::string text_;
  std::vector<Word> words_;
  std::vector<std::string> names_;
};

}  // namespace polythrottle
