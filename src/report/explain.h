#pragma once
// Explanations and what-if answers for people and programs. Everything here returns text; nothing prints.

#include <string>

#include "study/explain.h"
#include "study/what_if.h"

namespace polythrottle {

/// Which knob saves what and what binds the best setting, about one screen: docs/explain.md.
std::string render_explanation(const Explanation& explanation);
/// The same numbers as JSON, schema 1, pretty-printed, with a newline at the end.
std::string render_explanation_json(const Explanation& explanation);

enum class PlotFormat { kSvg, kPng };
/// A script for the program gnuplot (5 or later): main effects with their intervals, and beside them the objective against the most
/// effective knob. Sets its terminal, but no output file. Text from the study stands in single quotes only, where gnuplot runs nothing.
std::string render_plot_script(const Explanation& explanation, PlotFormat format);

/// One sentence: what keeps the knob at its best value. Empty for a knob with one level.
std::string verdict_text(const Explanation& explanation, const KnobExplanation& knob);

/// The answer under other limits among all candidates, a few lines. `summary`: under those limits, as `answer` was made from it.
std::string render_what_if(const Summary& summary, const WhatIf& answer);
/// JSON of `summary` as render_json makes it, with `answer` under "what_if"; null where there is none.
std::string render_json(const Summary& summary, const WhatIf* answer);

/// "9.8 % (8.1 to 11.4)".
std::string percent_text(const Predicted& change);
/// "save 9.8 % (8.1 to 11.4)" or "take 9.8 % (8.1 to 11.4) more"; where more of the objective is wanted "gain ..." or "lose ...".
std::string change_text(const Objective& objective, const Predicted& change);
/// "0.42"; "<0.01" and ">0.99" where two digits would claim certainty.
std::string probability_text(double probability);

}  // namespace polythrottle
