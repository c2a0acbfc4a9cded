// polythrottle apply: sets what a study found, or a profile says, and leaves it in place until 'polythrottle restore'.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "cli/borrow.h"
#include "cli/cli.h"
#include "cli/question.h"
#include "cli/this_machine.h"
#include "platform/platform.h"
#include "report/profile.h"
#include "report/report.h"

namespace polythrottle {
namespace {

/// Boards of one kind differ a little in their tables (one percent of a clock is no other setting); farther off is another machine.
constexpr double kNearEnough = 0.01;

struct ApplyOptions {
  Question question;  ///< its `study` may be a profile
  bool dry_run = false;
};

Result<std::string> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return tl::unexpected<Error>(system_error("read " + path, errno));
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return fail(Errc::kIo, "read " + path);
  return text.str();
}

/// The file as a profile, whichever of the two it is.
Result<Profile> load(const Question& question) {
  TRY(const std::string text, read_whole(question.study));
  TRY(auto limits, other_limits(question));
  if (text.starts_with(std::string("SQLite format 3\0", 16))) {
    TRY(const auto summary, summarize_file(question, std::move(limits)));
    if (summary.stale) tell("Note: {}.\n", stale_text(*summary.stale));
    return profile_of(summary);
  }
  if (limits) return fail(Errc::kInvalid, "--slo and --constraint ask a study; a profile holds one setting", "name the study's file");
  auto profile = parse_profile(text);
  if (!profile) profile.error().what = question.study + ": " + profile.error().what;
  return profile;
}

/// The level of the table that is meant: the value itself, or the nearest one within a percent.
Result<Value> level_for(const Parameter& p, const Value& wanted) {
  if (std::find(p.levels.begin(), p.levels.end(), wanted) != p.levels.end()) return wanted;
  const auto* number = std::get_if<double>(&wanted);
  const Value* nearest = nullptr;
  double gap = kNearEnough;
  for (const auto& level : p.levels) {
    const auto* candidate = std::get_if<double>(&level);
    if (number == nullptr || candidate == nullptr) continue;
    const double apart = std::abs(*candidate - *number) / std::max(std::abs(*number), 1e-300);
    if (apart <= gap) {
      gap = apart;
      nearest = &level;
    }
  }
  if (nearest != nullptr) return *nearest;
  return fail(Errc::kOutOfRange, fmt::format("{} cannot be {} here", p.name, knob_text(p.name, wanted)),
              fmt::format("it has {} levels from {} to {}", p.levels.size(), knob_text(p.name, p.levels.front()),
                          knob_text(p.name, p.levels.back())));
}

/// What is to be set, and with which knobs, in the machine's order.
struct Setting {
  Config config;
  std::vector<Knob*> knobs;
};

Result<Setting> setting_for(const Profile& profile, const Machine& machine) {
  Setting out;
  std::vector<std::string> missing;
  for (const auto& [name, value] : profile.settings.entries()) missing.push_back(name);
  for (const auto* list : {&machine.knobs, &machine.knobs_by_request}) {
    for (const auto& knob : *list) {
      const Parameter& p = knob->parameter();
      const auto wanted = profile.settings.get(p.name);
      if (!wanted) continue;
      TRY(Value level, level_for(p, *wanted));
      out.config.set(p.name, std::move(level));
      out.knobs.push_back(knob.get());
      std::erase(missing, p.name);
    }
  }
  for (const auto& name : missing) {
    const auto why = std::find_if(machine.absent_knobs.begin(), machine.absent_knobs.end(), [&](const auto& a) { return a.name == name; });
    if (why != machine.absent_knobs.end()) return fail(why->why.code, fmt::format("{}: {}", name, why->why.what), why->why.hint);
    return fail(Errc::kNotFound, fmt::format("this machine has no knob '{}'", name), "'polythrottle probe' lists those it has");
  }
  if (machine.coupling && !machine.coupling(out.config)) {
    return fail(Errc::kOutOfRange, fmt::format("{} do not go together", setting_text(out.config)));
  }
  return out;
}

int apply(const ApplyOptions& o, Cli& cli) {
  const auto profile = load(o.question);
  if (!profile) return complain(profile.error(), profile.error().code == Errc::kInvalid ? kExitUsage : kExitFailure);
  if (profile->settings.empty()) {
    return complain(Error{Errc::kNotFound, "there is nothing to set: no setting of the machine was tuned",
                          profile->program.empty() ? "" : "start the program with " + setting_text(profile->program)},
                    kExitFailure);
  }
  ThisMachine here(cli.sysroot, cli.gpu, cli.injection);
  if (const auto fits = here.check_gpu(); !fits) return complain(fits.error(), usage_or_failure(fits.error()));
  Host& host = here.host();
  if (const auto same = check_machine(*profile, machine_facts(host)); !same) return complain(same.error(), kExitFailure);
  LeaseOptions options = lease_options(here);
  // What an earlier run or an earlier `apply` left is undone first: found must be the owner's settings, and what is set now may have cut
  // the tables short.
  bool undone = false;
  if (o.dry_run) {
    if (const auto note = leftovers_note(host, options.record_path); !note.empty()) tell("Note: {}.\n", note);
  } else {
    const auto back = bring_back_leftovers(host, options.record_path, {.undo_kept = true});
    if (!back) return complain(back.error(), kExitFailure);
    undone = *back;
  }
  const Machine machine = discover(host, {});
  const auto setting = setting_for(*profile, machine);
  if (!setting) {
    Error why = setting.error();
    if (undone) why.what += "; what was set before is undone";
    return complain(why, kExitFailure);
  }
  for (const auto& [name, value] : profile->settings.entries()) {
    if (const auto level = setting->config.get(name); level != value)
      tell("{}: {} is no level here; the nearest, {}, is taken.\n", name, knob_text(name, value), knob_text(name, *level));
  }
  if (o.dry_run) {
    for (auto* knob : setting->knobs) {
      const std::string& name = knob->parameter().name;
      fmt::print("{} would be set to {}\n", name, knob_text(name, *setting->config.get(name)));
      for (const auto& path : knob->paths()) fmt::print("  {}\n", path);
    }
    fmt::print("Nothing was touched.\n");
    return kExitOk;
  }
  const auto lease = borrow(host, setting->knobs, std::move(options));
  if (!lease) return complain(lease.error(), kExitFailure);
  const Config found = (*lease)->found();
  const auto kept = cli.stop.stop_requested() ? Result<Kept>(fail(Errc::kTimeout, "interrupted"))
                                              : keep_in_place(host, **lease, setting->knobs, setting->config, o.question.study);
  if (!kept) {
    const bool whole = give_back(**lease);
    Error why = kept.error();
    why.what += whole ? "; the machine is as it was found" : "; the machine is NOT as it was found";
    return complain(why, cli.stop.stop_requested() ? kExitInterrupted : kExitFailure);
  }
  std::vector<std::vector<std::string>> rows{{"knob", "found", "now"}};
  for (const auto& [name, value] : kept->in_place.entries())
    rows.push_back({name, knob_text(name, *found.get(name)), knob_text(name, value)});
  fmt::print("{}\n", align(rows, {1, 2}));
  if (!kept->ended.empty()) fmt::print("Not set, it would end with this program: {}\n", setting_text(kept->ended));
  if (!profile->program.empty()) fmt::print("Start your program with {}; that part is its own.\n", setting_text(profile->program));
  fmt::print(
      "Read back and left in place until 'polythrottle restore' or a reboot. The clocks were not looked at under load: 'tune' does "
      "that.\n");
  return kExitOk;
}

}  // namespace

void add_apply(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("apply", "Set what a study or a profile found, and leave it in place");
  auto o = std::make_shared<ApplyOptions>();
  bind_question(*command, o->question);
  command->get_option("STUDY")->description("Study file, or profile ('polythrottle export')");
  add_gpu_options(*command, cli.gpu);
  command->add_flag("--dry-run", o->dry_run, "Say what would be written, and touch nothing");
  command->footer(
      "Examples:\n"
      "  sudo polythrottle apply study.sqlite\n"
      "  sudo polythrottle apply camera.json && sudo polythrottle restore");
  command->callback([o, &cli] { cli.exit_code = apply(*o, cli); });
}

}  // namespace polythrottle
