#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "loss.h"

namespace polythrottle::calibrate {
namespace {

using namespace simulation;
using nlohmann::ordered_json;

double simulated(const Fitted& fitted, const std::string& key) {
  const auto found = std::find_if(fitted.figures.begin(), fitted.figures.end(), [&](const Figure& figure) { return figure.key == key; });
  return found == fitted.figures.end() ? std::nan("") : found->value;
}

double published(const Fitted& fitted, const std::string& key) {
  const auto found = fitted.published.values.find(key);
  return found == fitted.published.values.end() ? std::nan("") : found->second;
}

bool has(const Fitted& fitted, const std::string& key) { return fitted.published.values.contains(key); }

std::string search_rows(const Fitted& fitted) {
  std::string text =
      "| network | precision | tight, published | simulated | relaxed, published | simulated | k tight | simulated | k relaxed | simulated "
      "|\n"
      "|---|---|---|---|---|---|---|---|---|---|\n";
  for (const Network& network : networks()) {
    for (const char* precision : {"fp16", "fp32"}) {
      const std::string cell = network.name + "/" + precision;
      text += fmt::format("| {} | {} |", network.name, precision);
      for (const char* group : {"tight/", "relaxed/"}) {
        text += fmt::format(" {:.1f} | {:.1f} |", 100.0 * published(fitted, group + cell), 100.0 * simulated(fitted, group + cell));
      }
      for (const char* group : {"tight_k/", "relaxed_k/"}) {
        text += fmt::format(" {:.0f} | {:.0f} |", published(fitted, group + cell), simulated(fitted, group + cell));
      }
      text += '\n';
    }
  }
  return text;
}

std::string knob_rows(const Fitted& fitted) {
  std::string text =
      "| table | network | saving %, published | simulated | best clock MHz, published | simulated |\n|---|---|---|---|---|---|\n";
  const auto row = [&](const char* table, const std::string& name, const std::string& saving, const std::string& clock) {
    text += fmt::format("| {} | {} | {:.1f} | {:.1f} | {:.0f} | {:.0f} |\n", table, name, 100.0 * published(fitted, saving),
                        100.0 * simulated(fitted, saving), published(fitted, clock), simulated(fitted, clock));
  };
  for (const Network& network : networks()) {
    if (has(fitted, "table2/" + network.name)) row("2, memory alone", network.name, "table2/" + network.name, "table2_mhz/" + network.name);
  }
  for (const Network& network : networks()) {
    if (has(fitted, "table3/" + network.name))
      row("3, GPU floor alone", network.name, "table3/" + network.name, "table3_mhz/" + network.name);
  }
  row("7, CPU for pre-processing", "images", "table7/saving", "table7_mhz/clock");
  return text;
}

std::string frontier_rows(const Fitted& fitted) {
  std::string text = "| batch | latency limit | relative energy, published | simulated | error % |\n|---|---|---|---|---|\n";
  for (const FrontierPoint& point : fitted.published.frontier) {
    const std::string key = fmt::format("figure2/{:02d}/{:.2f}", point.batch, point.limit);
    const double printed = published(fitted, key);
    const double ours = simulated(fitted, key);
    text += fmt::format("| {} | {:.2f} | {:.3f} | {:.3f} | {:+.1f} |\n", point.batch, point.limit, printed, ours,
                        100.0 * (ours / printed - 1.0));
  }
  return text;
}

/// Mean of the published savings of the other networks in the same grid: what one would say without any model.
double null_guess(const Fitted& fitted, const std::string& key, const std::string& without) {
  const std::string group = key.substr(0, key.find('/') + 1);
  double sum = 0.0;
  int count = 0;
  for (const auto& [other, value] : fitted.published.values) {
    if (!other.starts_with(group) || other.find(without) != std::string::npos) continue;
    sum += value;
    ++count;
  }
  return sum / count;
}

std::string starts_text(const ordered_json& fit) {
  std::string text;
  for (const auto& start : fit.at("starts")) {
    text += fmt::format("{}{} ({}) {:.1f}", text.empty() ? "" : ", ", start.at("seed").get<int>(), start.at("from").get<std::string>(),
                        start.at("loss").get<double>());
    if (start.contains("refined")) text += fmt::format(" -> {:.1f}", start.at("refined").get<double>());
  }
  return text;
}

std::string held_out_rows(const Fitted& fitted, const ordered_json& fits) {
  std::string text = "| withheld | cell | published | predicted | over the starts | null guess |\n|---|---|---|---|---|---|\n";
  std::string means;
  for (const auto& [name, fit] : fits.items()) {
    if (!fit.contains("predictions")) continue;
    double error = 0.0;
    double null_error = 0.0;
    int count = 0;
    for (const auto& [key, values] : fit.at("predictions").items()) {
      if (!has(fitted, key)) continue;
      const double printed = published(fitted, key);
      const double best = values.at(0).get<double>();
      double low = best;
      double high = best;
      for (const auto& value : values) {
        low = std::min(low, value.get<double>());
        high = std::max(high, value.get<double>());
      }
      const double null = null_guess(fitted, key, name);
      text += fmt::format("| {} | {} | {:.1f} | {:.1f} | {:.1f} to {:.1f} | {:.1f} |\n", name, key, 100.0 * printed, 100.0 * best,
                          100.0 * low, 100.0 * high, 100.0 * null);
      error += 100.0 * std::abs(best - printed);
      null_error += 100.0 * std::abs(null - printed);
      ++count;
    }
    means += fmt::format("\n{} withheld: mean error {:.1f} points, null guess {:.1f}. Starts (seed, loss): {}.\n", name, error / count,
                         null_error / count, starts_text(fit));
  }
  return text + means;
}

}  // namespace

std::string goals_rows(const Fitted& fitted) {
  const Score s = score(fitted.board, fitted.published, fitted.figures);
  std::string text = "| figure | reached | goal | |\n|---|---|---|---|\n";
  const auto line = [&](const std::string& name, const std::string& reached, const std::string& goal, bool met) {
    text += fmt::format("| {} | {} | {} | {} |\n", name, reached, goal, met ? "met" : "**missed**");
  };
  line("savings, mean error", fmt::format("{:.2f} points", s.savings_mean), "3 (stretch 2)", s.savings_mean <= 3.0);
  line("savings, largest error", fmt::format("{:.2f} points", s.savings_max), "7 (stretch 5)", s.savings_max <= 7.0);
  line("pairs in the wrong order", fmt::format("{} of {}", s.wrong_pairs, s.pairs), "2 on both boards together", s.wrong_pairs <= 2);
  if (has(fitted, "table2/bert-base")) {
    line("table 2, mean error", fmt::format("{:.2f} points", s.table2_mean), "4", s.table2_mean <= 4.0);
    line("table 2, largest error", fmt::format("{:.2f} points", s.table2_max), "7", s.table2_max <= 7.0);
    line("table 2, best memory clock", fmt::format("{} levels off", s.table2_levels), "3", s.table2_levels <= 3);
  }
  if (has(fitted, "table3/bert-base")) {
    line("table 3, largest error", fmt::format("{:.2f} points", s.table3_max), "6", s.table3_max <= 6.0);
    line("table 3, order of networks", s.table3_order ? "kept" : "changed", "kept", s.table3_order);
  }
  line("table 7, error", fmt::format("{:.2f} points", s.table7), "4", s.table7 <= 4.0);
  line("CPU clock alone, largest saving of total energy", fmt::format("{:.2f} %", s.cpu_effect), "6", s.cpu_effect <= 6.05);
  line("figure 2, mean error", fmt::format("{:.2f} %", s.figure2_mean), "5", s.figure2_mean <= 5.0);
  line("figure 2, largest error", fmt::format("{:.2f} %", s.figure2_max), "10", s.figure2_max <= 10.0);
  line("near-optimal cells within a factor of 2", fmt::format("{} of {}", s.k_within_2, s.k_count), "13 of 16", s.k_within_2 >= 13);
  line("near-optimal cells, largest factor", fmt::format("{:.2f}", s.k_worst), "3", s.k_worst <= 3.0);
  return text;
}

std::string figures_text(const Fitted& fitted) {
  std::string text;
  for (const Figure& figure : fitted.figures) {
    if (!has(fitted, figure.key)) continue;
    const double printed = published(fitted, figure.key);
    const bool whole = figure.key.find("_k/") != std::string::npos || figure.key.find("_mhz/") != std::string::npos;
    const double scale = whole ? 1.0 : 100.0;
    text +=
        fmt::format("{:36} {:9.1f} {:9.1f} {:+8.1f}", figure.key, scale * printed, scale * figure.value, scale * (figure.value - printed));
    if (figure.aid > 0.0) text += fmt::format("  ({:.3f})", figure.aid);
    text += '\n';
  }
  return text;
}

std::string scalars_rows(const Fitted& fitted) {
  std::string text = "| number | value | unit | bounds | | source of the bounds |\n|---|---|---|---|---|---|\n";
  const auto table = scalar_table();
  const std::vector<double> cube = to_cube(fitted.board);
  for (std::size_t index = 0; index < table.size(); ++index) {
    const Bounds& bounds = fitted.board.bounds[index];
    const char* mark = cube[index] < 0.01 ? "at its lower bound" : cube[index] > 0.99 ? "at its upper bound" : "";
    text += fmt::format("| {} | {:.5g} | {} | {:.4g} to {:.4g} | {} | {} |\n", table[index].name, fitted.board.scalars.*table[index].member,
                        table[index].unit, bounds.low, bounds.high, mark, bounds.source);
  }
  return text;
}

std::string page(const std::vector<Fitted>& boards, const ordered_json& record) {
  std::string text;
  double savings = 0.0;
  int wrong = 0;
  for (const Fitted& fitted : boards) {
    const Score s = score(fitted.board, fitted.published, fitted.figures);
    savings += s.savings_mean / static_cast<double>(boards.size());
    wrong += s.wrong_pairs;
  }
  text +=
      fmt::format("\nBoth boards: mean error of the 32 savings {:.2f} points, {} pairs of networks in the wrong order.\n", savings, wrong);
  for (const Fitted& fitted : boards) {
    text += fmt::format("\n### {}\n\n{}", fitted.board.title, goals_rows(fitted));
    text += fmt::format("\nFigure 4: savings in per cent, and k, the number of near-optimal cells.\n\n{}", search_rows(fitted));
    text += fmt::format("\nSingle knobs.\n\n{}", knob_rows(fitted));
    text += fmt::format("\nFigure 2, {} FP16; energy relative to the first point.\n\n{}", fitted.published.frontier_network,
                        frontier_rows(fitted));
    text += fmt::format("\nFitted numbers.\n\n{}", scalars_rows(fitted));
    const auto fits = record.find(fitted.board.name);
    if (fits == record.end()) continue;
    if (fits->contains("full")) text += fmt::format("\nStarts (seed, loss): {}.\n", starts_text(fits->at("full")));
    text += fmt::format("\nHeld out: savings in per cent predicted by fits that never saw the network; no pass mark.\n\n{}",
                        held_out_rows(fitted, *fits));
  }
  return text;
}

std::string plot(const std::vector<Fitted>& boards, const std::string& output) {
  std::string text =
      fmt::format("set terminal svg size 1200,420 font 'sans,11'\nset output '{}'\nset multiplot layout 1,{}\nset key left top\nset grid\n",
                  output, 1 + boards.size());
  for (std::size_t index = 0; index < boards.size(); ++index) {
    text += fmt::format("$savings{} << EOD\n", index);
    for (const auto& [key, value] : boards[index].published.values) {
      if (key.starts_with("tight/") || key.starts_with("relaxed/")) {
        text += fmt::format("{:.2f} {:.2f}\n", 100.0 * value, 100.0 * simulated(boards[index], key));
      }
    }
    text += fmt::format("EOD\n$frontier{} << EOD\n", index);
    int batch = 0;
    for (const FrontierPoint& point : boards[index].published.frontier) {
      if (batch != 0 && point.batch != batch) text += "\n";
      batch = point.batch;
      const std::string key = fmt::format("figure2/{:02d}/{:.2f}", point.batch, point.limit);
      text += fmt::format("{:.2f} {:.4f} {:.4f}\n", point.limit, published(boards[index], key), simulated(boards[index], key));
    }
    text += "EOD\n";
  }
  text +=
      "set title 'Savings of figure 4'\nset xlabel 'published, %'\nset ylabel 'simulated, %'\nset xrange [0:40]\nset yrange [0:40]\nplot x "
      "notitle lc 'grey'";
  for (std::size_t index = 0; index < boards.size(); ++index) {
    text += fmt::format(", $savings{} using 1:2 with points pt {} title '{}'", index, 5 + 2 * index, boards[index].board.name);
  }
  text += "\nset autoscale\nset key right top\n";
  for (std::size_t index = 0; index < boards.size(); ++index) {
    text += fmt::format(
        "set title 'Figure 2: {}, {}'\nset xlabel 'latency over the best'\nset ylabel 'relative energy'\nplot $frontier{} using 1:2 with "
        "linespoints pt 6 title 'published', $frontier{} using 1:3 with linespoints pt 2 title 'simulated'\n",
        boards[index].published.frontier_network, boards[index].board.name, index, index);
  }
  return text + "unset multiplot\n";
}

}  // namespace polythrottle::calibrate
