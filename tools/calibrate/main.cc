// Fits the free numbers of a simulated board to the figures that the PolyThrottle paper printed, and shows how well that goes.
//
//   calibrate fit --board jetson-tx2 --write            ten starts, the best three refined; writes the data file
//   calibrate fit --board jetson-tx2 --without bert-base   the same without a network; only its predictions are recorded
//   calibrate show --board jetson-tx2                   published beside simulated, goals, numbers at their bounds
//   calibrate report                                    the generated part of docs/simulation.md and docs/simulation.svg (needs gnuplot)

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "cma_es.h"
#include "loss.h"
#include "report.h"

namespace polythrottle::calibrate {
namespace {

using nlohmann::ordered_json;
using namespace simulation;

struct Options {
  std::string board = "jetson-tx2";
  std::string data = "src/host/simulation/data";
  std::string published = "tools/calibrate/published.json";
  std::string record = "tools/calibrate/fits.json";
  std::string page = "docs/simulation.md";
  std::string picture = "docs/simulation.svg";
  std::string without;
  int starts = 10;
  int evaluations = 3000;
  int refined = 3;
  int refinement = 10000;
  double scatter = 0.2;
  double step = 0.2;
  std::uint64_t seed = 1;
  bool warm = false;
  bool write = false;
};

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path);
  if (!in) return fail(Errc::kNotFound, "read " + path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Status write_text(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  if (!out.flush()) return fail(Errc::kIo, "write " + path);
  return {};
}

std::string data_path(const Options& options, const std::string& board) { return options.data + "/" + board + ".json"; }

Result<Fitted> load(const Options& options, const std::string& name) {
  Fitted fitted;
  TRY(const std::string text, read_text(data_path(options, name)));
  TRY(fitted.board, parse_board(text));
  TRY(const std::string published, read_text(options.published));
  TRY(fitted.published, parse_published(published, name));
  fitted.figures = simulate_paper(fitted.board, fitted.published);
  return fitted;
}

/// Six digits: more than the fit can tell apart.
double rounded(double value) { return std::stod(fmt::format("{:.6g}", value)); }

/// Where starts scatter: what one would guess without the paper (field `guess` of the data file), in the unit cube.
std::vector<double> guess(const Board& board, const ordered_json& document) {
  Board guessed = board;
  for (const ScalarInfo& info : scalar_table()) {
    guessed.scalars.*info.member = document.at("scalars").at(std::string(info.name)).at("guess").get<double>();
  }
  return to_cube(guessed);
}

Status fit(const Options& options) {
  TRY(Fitted fitted, load(options, options.board));
  Board& board = fitted.board;
  TRY(const std::string data_text, read_text(data_path(options, options.board)));
  ordered_json document = ordered_json::parse(data_text);
  const std::vector<double> centre = guess(board, document);

  const auto value_of = [&](const std::vector<double>& point) {
    Board trial = board;
    from_cube(trial, point);
    const double value = loss(trial, fitted.published, simulate_paper(trial, fitted.published), options.without);
    return std::isfinite(value) ? value : 1e9;
  };

  struct Start {
    ordered_json log;
    SearchResult result;
  };
  std::vector<Start> starts;
  for (int number = 0; number < options.starts; ++number) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(number);
    std::vector<double> point = centre;
    std::string from = "guess";
    if (options.warm && number == 0) {
      point = to_cube(board);
      from = "data file";
    } else if (number > 0) {
      std::mt19937_64 random(seed);
      std::normal_distribution<double> normal(0.0, options.scatter);
      for (double& coordinate : point) coordinate = std::clamp(coordinate + normal(random), 0.02, 0.98);
      from = "scattered";
    }
    Start start;
    start.result = cma_es(value_of, point, options.warm && number == 0 ? 0.05 : options.step, options.evaluations, seed);
    start.log = {{"seed", seed}, {"from", from}, {"evaluations", start.result.evaluations}, {"loss", rounded(start.result.value)}};
    fmt::print("{} {} start {}: {}\n", options.board, options.without, number, start.log.dump());
    std::fflush(stdout);
    starts.push_back(std::move(start));
  }
  const auto better = [](const Start& a, const Start& b) { return a.result.value < b.result.value; };
  std::sort(starts.begin(), starts.end(), better);
  for (std::size_t rank = 0; rank < starts.size() && static_cast<int>(rank) < options.refined; ++rank) {
    Start& start = starts[rank];
    start.result = cma_es(value_of, start.result.point, 0.04, options.refinement, options.seed + 1000 + rank);
    start.log["refined"] = rounded(start.result.value);
    fmt::print("{} {} refined: {}\n", options.board, options.without, start.log.dump());
    std::fflush(stdout);
  }
  std::sort(starts.begin(), starts.end(), better);
  if (starts.empty()) return fail(Errc::kInvalid, "fit: no starts");

  ordered_json entry;
  entry["starts"] = ordered_json::array();
  for (const Start& start : starts) entry["starts"].push_back(start.log);
  if (!options.without.empty()) {
    for (const Start& start : starts) {
      from_cube(board, start.result.point);
      for (const Figure& figure : simulate_paper(board, fitted.published)) {
        const bool saving = figure.key.starts_with("tight/") || figure.key.starts_with("relaxed/");
        if (saving && figure.key.find(options.without) != std::string::npos)
          entry["predictions"][figure.key].push_back(rounded(figure.value));
      }
    }
  }
  from_cube(board, starts.front().result.point);
  for (const ScalarInfo& info : scalar_table()) {
    const double value = rounded(board.scalars.*info.member);
    document["scalars"][std::string(info.name)]["value"] = value;
    board.scalars.*info.member = value;
  }
  fitted.figures = simulate_paper(board, fitted.published);
  fmt::print("{}\n{}\n{}", figures_text(fitted), goals_rows(fitted), scalars_rows(fitted));
  if (options.write && options.without.empty()) TRY_STATUS(write_text(data_path(options, options.board), document.dump(1) + "\n"));

  ordered_json record = ordered_json::object();
  if (const auto text = read_text(options.record)) record = ordered_json::parse(*text);
  record[options.board][options.without.empty() ? "full" : options.without] = entry;
  return write_text(options.record, record.dump(1) + "\n");
}

Status show(const Options& options) {
  TRY(const Fitted fitted, load(options, options.board));
  fmt::print("{}\nloss {:.2f}\n\n{}\n{}", figures_text(fitted), loss(fitted.board, fitted.published, fitted.figures, options.without),
             goals_rows(fitted), scalars_rows(fitted));
  return {};
}

Status report(const Options& options) {
  constexpr std::string_view kBegin = "<!-- calibrate:begin -->\n";
  constexpr std::string_view kEnd = "<!-- calibrate:end -->";
  std::vector<Fitted> fitted;
  for (const Board& board : boards()) {
    TRY(Fitted one, load(options, board.name));
    fitted.push_back(std::move(one));
  }
  TRY(const std::string record, read_text(options.record));
  TRY(std::string text, read_text(options.page));
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = text.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return fail(Errc::kCorrupt, options.page + ": no markers");
  text.replace(begin + kBegin.size(), end - begin - kBegin.size(), page(fitted, ordered_json::parse(record)) + "\n");
  TRY_STATUS(write_text(options.page, text));

  const auto close = [](std::FILE* pipe) { return pipe != nullptr ? pclose(pipe) : -1; };
  std::FILE* pipe = popen("gnuplot", "w");
  if (pipe == nullptr) return fail(Errc::kIo, "start gnuplot");
  const std::string script = plot(fitted, options.picture);
  const bool written = std::fwrite(script.data(), 1, script.size(), pipe) == script.size();
  if (close(pipe) != 0 || !written) return fail(Errc::kIo, "gnuplot did not draw " + options.picture, "apt-get install gnuplot-nox");
  return {};
}

}  // namespace
}  // namespace polythrottle::calibrate

int main(int argc, char** argv) {
  using namespace polythrottle;
  using namespace polythrottle::calibrate;
  CLI::App app("Fit simulated boards to the published figures and show the result");
  app.require_subcommand(1);
  Options options;
  app.add_option("--data", options.data, "folder of the boards' data files")->capture_default_str();
  app.add_option("--published", options.published, "the paper's figures")->capture_default_str();
  app.add_option("--record", options.record, "log of starts and held-out predictions")->capture_default_str();
  CLI::App& fitting = *app.add_subcommand("fit", "fit one board");
  CLI::App& showing = *app.add_subcommand("show", "published beside simulated for one board");
  CLI::App& reporting = *app.add_subcommand("report", "rewrite the generated part of the page, and the plot");
  for (CLI::App* command : {&fitting, &showing}) {
    command->add_option("--board", options.board, "jetson-tx2 or jetson-orin")->capture_default_str();
    command->add_option("--without", options.without, "network whose figures teach nothing");
  }
  fitting.add_option("--starts", options.starts)->capture_default_str();
  fitting.add_option("--evaluations", options.evaluations, "per start")->capture_default_str();
  fitting.add_option("--refined", options.refined, "best starts that go on")->capture_default_str();
  fitting.add_option("--refinement", options.refinement, "evaluations of each of those")->capture_default_str();
  fitting.add_option("--scatter", options.scatter, "standard deviation of starts around the guess, in the unit cube")
      ->capture_default_str();
  fitting.add_option("--step", options.step, "first step, in the unit cube")->capture_default_str();
  fitting.add_option("--seed", options.seed)->capture_default_str();
  fitting.add_flag("--warm", options.warm, "the first start is the data file's values");
  fitting.add_flag("--write", options.write, "write the data file");
  reporting.add_option("--page", options.page)->capture_default_str();
  reporting.add_option("--picture", options.picture)->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const Status done = fitting.parsed() ? fit(options) : showing.parsed() ? show(options) : report(options);
  if (!done) {
    std::fprintf(stderr, "calibrate: %s\n", done.error().text().c_str());
    return 1;
  }
  return 0;
}
