#include "report/command_energy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "study/metered_commands.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CommandEnergy measured(MeteredCommands& machine, std::vector<std::vector<std::string>> commands, std::size_t runs,
                       std::size_t warm_up = 0) {
  CommandEnergy found{.commands = commands, .meter = machine.meter.info(), .runs = runs, .program = "polythrottle 0"};
  found.series = *machine.series(commands, runs, warm_up);
  return found;
}

TEST(CommandEnergyText, EveryJouleHasItsMeterBoundaryErrorAndWord) {
  MeteredCommands machine;
  const std::string text = render_command_energy(measured(machine, {{"work", "2"}}, 3));
  EXPECT_THAT(text, HasSubstr("measured: meter known, a box"));
  EXPECT_THAT(text, HasSubstr("+-5 % on the gain (1 sigma)"));
  EXPECT_THAT(text, HasSubstr("40.00 J  +-9.8 %"));
  EXPECT_THAT(text, HasSubstr("  big"));
  EXPECT_THAT(text, HasSubstr("30.00 J"));
  EXPECT_THAT(text, HasSubstr("cancels in a comparison (--vs)"));
  EXPECT_THAT(text, HasSubstr("Temperature: "));
  EXPECT_THAT(text, Not(HasSubstr("Short")));
  EXPECT_THAT(text, Not(HasSubstr("Reading the meter took")));
  machine.meter.told().estimated = true;
  const std::string guess = render_command_energy(measured(machine, {{"work", "2"}}, 3));
  EXPECT_THAT(guess, HasSubstr("estimated: meter known"));
  EXPECT_THAT(guess, Not(HasSubstr("measured")));
}

TEST(CommandEnergyText, OneRunSaysThatItsScatterIsUnknown) {
  MeteredCommands machine;
  const std::string text = render_command_energy(measured(machine, {{"work", "2"}}, 1));
  EXPECT_THAT(text, HasSubstr("how far runs differ is not known"));
  EXPECT_THAT(text, HasSubstr("not known\n"));  // of the time
}

TEST(CommandEnergyText, ARunTooShortForTheMeterIsSaidToBe) {
  MeteredCommands machine;
  const std::string text = render_command_energy(measured(machine, {{"work", "0.02"}}, 3));
  EXPECT_THAT(text, HasSubstr("Short: a run takes 20.00 ms, 2 refreshes of the meter known (10.00 ms each); that alone makes +-18 %"));
}

TEST(CommandEnergyText, NoEnergySeenIsNotZeroJoules) {
  MeteredCommands machine;
  machine.meter.watts = 0.0;
  const CommandEnergy found = measured(machine, {{"work", "0.02"}}, 1);
  EXPECT_THAT(render_command_energy(found), HasSubstr("none seen"));
  EXPECT_THAT(render_command_energy(found), HasSubstr("it saw no energy at all"));
  EXPECT_TRUE(command_energy_json(found)["energy_joules"].is_null());
}

TEST(CommandEnergyText, ReadingTheMeterIsSaidToCostSomething) {
  MeteredCommands machine;
  machine.meter.read_takes = Seconds(0.01);
  EXPECT_THAT(render_command_energy(measured(machine, {{"work", "2"}}, 1)), HasSubstr("Reading the meter took "));
}

TEST(CommandEnergyText, SaysInWordsWhichNeedsLess) {
  MeteredCommands machine;
  EXPECT_THAT(render_command_energy(measured(machine, {{"a", "10"}, {"b", "9"}}, 6)),
              HasSubstr("B needs 10.0 % less energy than A (measured; 95 %: 10.0 % to 10.0 %)."));
  EXPECT_THAT(render_command_energy(measured(machine, {{"a", "10"}, {"b", "12"}}, 6)), HasSubstr("B needs 20.0 % more energy than A"));
  EXPECT_THAT(render_command_energy(measured(machine, {{"a", "10"}, {"b", "50"}}, 6)), HasSubstr("B needs 5 x the energy of A"));
  EXPECT_THAT(render_command_energy(measured(machine, {{"a", "10"}, {"b", "10"}}, 6)), HasSubstr("No difference in energy is shown"));
  EXPECT_THAT(render_command_energy(measured(machine, {{"a", "10"}, {"b", "9"}}, 1)),
              HasSubstr("in one round; how far rounds differ is not known"));
}

TEST(CommandEnergyText, ShowsWhatWasDiscardedAndWhy) {
  MeteredCommands machine;
  int started = 0;
  machine.on_start = [&](const Program&) {
    if (++started == 3) machine.events = 4;
  };
  const std::string text = render_command_energy(measured(machine, {{"work", "2"}}, 2, 1));
  EXPECT_THAT(text, HasSubstr("Discarded to warm up: 1 run."));
  EXPECT_THAT(text,
              HasSubstr("Discarded as void: run 2 (2.000 s, 40.00 J and 20.00 W (measured)): the hardware slowed itself down 4 times"));
  EXPECT_THAT(render_command_energy(measured(machine, {{"work", "2", "9"}}, 2)),
              HasSubstr("Run 1 failed: 2.000 s, 40.00 J and 20.00 W (measured), exit code 9; it is in no mean."));
}

TEST(CommandEnergyText, IdleIsShownAndNotSubtracted) {
  MeteredCommands machine;
  CommandEnergy found = measured(machine, {{"work", "2"}}, 2);
  machine.meter.watts = 5.0;
  found.idle = *CommandMeter(machine.host, machine.launcher, machine.meter, machine.gauges).idle(Seconds(2), {});
  found.units = 400.0;
  const std::string text = render_command_energy(found);
  EXPECT_THAT(text, HasSubstr("Idle: 5.000 W (measured, for 2.000 s before the first run): 10.00 J of the energy, 25 %"));
  EXPECT_THAT(text, HasSubstr("40.00 J"));
  EXPECT_THAT(text, HasSubstr("energy per unit  100.0 mJ"));
}

TEST(CommandEnergyJson, HoldsAllOfIt) {
  MeteredCommands machine;
  CommandEnergy found = measured(machine, {{"a", "10"}, {"b", "9"}}, 4, 1);
  found.units = 10.0;
  const Json json = command_energy_json(found);
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["command"], Json({"a", "10"}));
  EXPECT_EQ(json["runs"].size(), 4u);
  EXPECT_NEAR(json["energy_joules"]["value"].get<double>(), 200.0, 1e-6);
  EXPECT_NEAR(json["energy_joules"]["low"].get<double>(), 200.0 - 1.96 * 10.0, 0.1);
  EXPECT_NEAR(json["energy_joules"]["shared"][0]["relative"].get<double>(), 0.05, 1e-9);
  EXPECT_NEAR(json["energy_joules_per_unit"]["value"].get<double>(), 20.0, 1e-6);
  EXPECT_NEAR(json["rails"]["big"]["value"].get<double>(), 150.0, 1e-6);
  EXPECT_EQ(json["meter"]["provenance"], "measured");
  EXPECT_EQ(json["meter"]["refresh_seconds"], 0.01);
  EXPECT_EQ(json["vs"]["command"], Json({"b", "9"}));
  EXPECT_NEAR(json["vs"]["ratio"]["energy"]["value"].get<double>(), 0.9, 1e-9);
  EXPECT_LT(json["vs"]["ratio"]["energy"]["high"].get<double>(), 0.92);
  EXPECT_EQ(json["discarded"].size(), 2u);
  EXPECT_EQ(json["discarded"][0]["why"], "warm_up");
  EXPECT_EQ(json["ended"], "complete");
  EXPECT_TRUE(json["idle_watts"].is_null());
}

TEST(CommandEnergyJson, HasNullsForWhatIsNotKnown) {
  MeteredCommands machine;
  const Json one = command_energy_json(measured(machine, {{"a", "2"}}, 1));
  EXPECT_TRUE(one["time_seconds"]["std_error"].is_null());
  EXPECT_TRUE(one["time_seconds"]["low"].is_null());
  EXPECT_TRUE(one["vs"].is_null());
  const Json none = command_energy_json(measured(machine, {{"a", "2", "1"}}, 1));
  EXPECT_TRUE(none["energy_joules"].is_null());
  EXPECT_EQ(none["ended"], "failed");
  EXPECT_EQ(none["discarded"][0]["exit_code"], 1);
}

TEST(Quoted, GivesBackWhatAShellWouldRead) {
  EXPECT_EQ(quoted({"./bench", "--size=3", "a b", "it's", ""}), "./bench --size=3 'a b' 'it'\\''s' ''");
}

}  // namespace
}  // namespace polythrottle
