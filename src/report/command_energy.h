#pragma once
// What `polythrottle measure` has to say: for people, and for programs (docs/measure.md).

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "study/command_series.h"
#include "trial/json.h"

namespace polythrottle {

/// One or two commands and what their runs cost.
struct CommandEnergy {
  std::vector<std::vector<std::string>> commands;  ///< words of A and, where two are compared, of B
  MeterInfo meter;
  std::vector<std::string> other_meters;  ///< sensors that this machine has besides
  std::size_t runs = 0;                   ///< of each, that were asked for
  std::optional<double> units;            ///< of work in each run
  std::optional<IdlePower> idle;          ///< measured before the first run
  Series series;
  std::string program;                         ///< "polythrottle 0.1.0"
  std::map<std::string, std::string> machine;  ///< machine_facts

  bool compares() const { return commands.size() > 1; }
};

/// Text with aligned columns; every joule with its word, its meter's boundary and its error.
std::string render_command_energy(const CommandEnergy& found);
/// The JSON of docs/measure.md.
Json command_energy_json(const CommandEnergy& found);

/// Words as a shell would take them: quoted where they need it.
std::string quoted(const std::vector<std::string>& words);
/// "1.23 s and 45.6 J, exit code 3": one run, for a line of its own.
std::string describe(const CommandRun& run, const MeterInfo& meter);

}  // namespace polythrottle
