#include "platform/rivals.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

namespace polythrottle {
namespace {

/// The kernel cuts a process's name at 15 characters (TASK_COMM_LEN, proc(5)).
constexpr std::size_t kNameLength = 15;
constexpr std::string_view kOurselves = "polythrottle";

/// What is known of one of them. Where each fact is from stands beside it.
struct Known {
  std::string_view name;
  std::array<std::string_view, 3> programs;  ///< file names of what runs, uncut; a script's name where an interpreter runs it
  std::array<std::string_view, 2> marks;     ///< files that are there while it is in force, or since it ran
  std::string_view writes, when, pause, resume;
  bool may_interfere = true;
};

constexpr auto kKnown = std::to_array<Known>({
    // tuned.service: /usr/sbin/tuned, a Python script, Type=dbus, pid in /run/tuned/tuned.pid; consts.py: dynamic tuning, update interval
    // 10 s
    // (redhat-performance/tuned).
    {"tuned",
     {"tuned"},
     {"/run/tuned/tuned.pid"},
     "governor, boost, energy_perf_bias, energy_performance_preference, intel_pstate's min_perf_pct, max_perf_pct and no_turbo",
     "at its start, when the profile changes, when a CPU comes online, and about every 10 s with dynamic tuning",
     "systemctl stop tuned",
     "systemctl start tuned"},
    // tlp.service is Type=oneshot; a udev rule runs "tlp auto" on every change of a power_supply; stopping the service does not stop that
    // (linrunner/TLP, its unit and rule; tlp-doc faq/operation.rst). /run/tlp/last_pwr holds the profile applied last.
    {"tlp",
     {"tlp", "tlp-pd"},
     {"/run/tlp/last_pwr"},
     "governor, energy_performance_preference, scaling_min_freq and scaling_max_freq, boost, platform_profile",
     "at boot, on resume, and when the power supply is plugged or unplugged",
     "set TLP_ENABLE=0 in /etc/tlp.conf (stopping tlp.service does not help)",
     "set TLP_ENABLE=1, then: tlp start"},
    // power-profiles-daemon's README: profiles act through drivers (intel_pstate, amd_pstate, platform_profile). Its unit conflicts with
    // tuned, tlp and auto-cpufreq for that reason.
    {"power-profiles-daemon",
     {"power-profiles-daemon"},
     {},
     "energy_performance_preference, platform_profile",
     "at its start, and when a desktop or a program asks for another profile",
     "systemctl stop power-profiles-daemon",
     "systemctl start power-profiles-daemon"},
    // tuned-ppd serves the same D-Bus name on top of tuned (tuned/consts.py).
    {"tuned-ppd",
     {"tuned-ppd"},
     {},
     "the profile of tuned, which then writes",
     "when a desktop or a program asks for another profile",
     "systemctl stop tuned-ppd",
     "systemctl start tuned-ppd"},
    // auto-cpufreq.service: "auto-cpufreq --daemon", a Python script that follows load, temperature and battery (AdnanHodzic/auto-cpufreq).
    {"auto-cpufreq",
     {"auto-cpufreq"},
     {},
     "governor, scaling_min_freq and scaling_max_freq, boost, energy_performance_preference",
     "continuously, with the load, the temperature and the battery",
     "systemctl stop auto-cpufreq",
     "systemctl start auto-cpufreq"},
    // thermald.service: thermald --no-daemon (intel/thermal_daemon); cools by RAPL limits, intel_pstate and cooling devices. It "can
    // disable
    // turbo altogether" (power-profiles-daemon, intel_pstate driver).
    {"thermald",
     {"thermald"},
     {},
     "RAPL power limits, intel_pstate (no_turbo, max_perf_pct), cooling devices",
     "when a temperature comes near its limit",
     "systemctl stop thermald (the firmware still protects the hardware)",
     "systemctl start thermald"},
    // cpupower.service of the distributions is a oneshot that reads /etc/default/cpupower: governor, min_freq, max_freq.
    {"cpupower",
     {},
     {"/etc/systemd/system/multi-user.target.wants/cpupower.service"},
     "governor, scaling_min_freq and scaling_max_freq",
     "at boot only",
     {},
     {},
     false},
    // Ubuntu's ondemand.service sets a governor some time after boot; armbian/build masks it among "conflicting services".
    {"ondemand", {}, {"/etc/systemd/system/multi-user.target.wants/ondemand.service"}, "governor", "at boot only", {}, {}, false},
    // gamemoded -d; "activates game mode on request, refcounts" (FeralInteractive/gamemode README): the governor, on request GPU clocks.
    {"gamemoded",
     {"gamemoded"},
     {},
     "governor, and where its gamemode.ini says so GPU clocks",
     "when a game begins and ends",
     "systemctl --user stop gamemoded",
     "systemctl --user start gamemoded"},
    // nvidia-powerd: Dynamic Boost moves power between CPU and GPU of a laptop (NVIDIA driver README, "Dynamic Boost on Linux").
    {"nvidia-powerd",
     {"nvidia-powerd"},
     {},
     "the NVIDIA GPU's power limit (Dynamic Boost)",
     "continuously, with the load of CPU and GPU",
     "systemctl stop nvidia-powerd",
     "systemctl start nvidia-powerd"},
    // lactd.service (ilya-zlobintsev/LACT): "lact-daemon" of old, "lact daemon" now.
    {"lact",
     {"lact-daemon", "lact"},
     {},
     "GPU clocks, power limit and fan",
     "at its start, on resume, and when its settings or a profile's process change",
     "systemctl stop lactd",
     "systemctl start lactd"},
    // HELPER_EXE "corectrl_helper", started over D-Bus from /usr/libexec/corectrl (CoreCtrl, config.h and its packages).
    {"corectrl",
     {"corectrl_helper"},
     {},
     "AMD GPU clocks, power limit and fan, CPU governor",
     "when CoreCtrl starts, and when a program with a profile of its own starts",
     "quit CoreCtrl",
     "start CoreCtrl"},
    // jtop.service (rbonghi/jetson_stats): runs "jtop --force" as root and sets what its users ask for; jetson_clocks at boot if told so.
    {"jtop",
     {"jtop"},
     {},
     "jetson_clocks, the nvpmodel mode, the fan",
     "at boot where it was told to, and when somebody asks it",
     "systemctl stop jtop",
     "systemctl start jtop"},
    // nvpmodel.service is a oneshot, inactive after boot (owners of JetPack 6 boards); nvpmodel rewrites limits and CPUs when a mode is
    // set.
    {"nvpmodel",
     {"nvpmodel", "nvpmodel_indicator.py"},
     {},
     "limits of CPU, GPU and memory clocks, CPUs online, power-gating masks",
     "at boot, and when a mode is set: by hand or by a desktop's menu",
     "set no mode meanwhile; close the desktop's nvpmodel menu",
     {}},
    // nvfancontrol.service: /usr/sbin/nvfancontrol, enabled on JetPack 5 and 6. It moves no clock, but a fan's power is in some totals.
    {"nvfancontrol", {"nvfancontrol"}, {}, "the fan", "continuously, with the temperature", {}, {}, false},
    {kOurselves,
     {kOurselves},
     {},
     "the same settings as this one",
     "while it runs",
     "let it end, or stop it: it gives the machine back",
     {}},
});

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// A command line as the kernel shows it: arguments that end in NUL.
std::vector<std::string> arguments_of(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\0', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

/// python3, python3.11, perl, bash, sh ...: what runs is its script.
bool is_interpreter(std::string_view program) {
  constexpr std::array<std::string_view, 6> kInterpreters{"python", "perl", "bash", "dash", "sh", "gjs"};
  return std::any_of(kInterpreters.begin(), kInterpreters.end(), [&](std::string_view name) {
    return program == name || (name == "python" && program.starts_with(name) &&
                               program.find_first_not_of("0123456789.", name.size()) == std::string_view::npos);
  });
}

struct Process {
  std::string pid;
  std::string program;  ///< file name, of the script where an interpreter runs one; the kernel's cut name where it has no command line
  std::string command;  ///< for people
  std::vector<std::string> arguments;
};

std::optional<Process> look_at(const Files& files, const std::string& pid) {
  const auto name = read_trimmed(files, "/proc/" + pid + "/comm");
  if (!name) return std::nullopt;
  const auto line = files.read("/proc/" + pid + "/cmdline");
  // A thread of the kernel has none, and a process may overwrite its own.
  Process out{.pid = pid, .program = *name, .command = *name, .arguments = arguments_of(line.value_or(""))};
  const auto& arguments = out.arguments;
  if (arguments.empty() || arguments.front().empty()) return out;
  out.program = file_name(arguments.front());
  out.command = arguments.front();
  if (!is_interpreter(out.program)) return out;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("-")) continue;
    out.program = file_name(arguments[i]);
    out.command += " " + arguments[i];
    break;
  }
  return out;
}

std::vector<Process> processes(const Files& files) {
  std::vector<Process> out;
  const auto own = std::to_string(::getpid());
  const auto names = files.list("/proc");
  if (!names) return out;
  for (const auto& name : *names) {
    if (!is_number(name) || name == own) continue;
    if (auto process = look_at(files, name)) out.push_back(std::move(*process));
  }
  return out;
}

/// Another study on this machine. Our own watchdog has our command line; a study of a simulated board or a table touches nothing.
bool is_study(const Process& process, const std::vector<std::string>& own) {
  const auto& words = process.arguments;
  const auto elsewhere = [](const std::string& word) {
    return word.find("sim:") != std::string::npos || word.find("recorded:") != std::string::npos;
  };
  return words != own && std::find(words.begin(), words.end(), "tune") != words.end() &&
         std::none_of(words.begin(), words.end(), elsewhere);
}

bool runs(const Process& process, std::string_view program, const std::vector<std::string>& own) {
  if (program == kOurselves && !is_study(process, own)) return false;
  return process.program == program || (process.program.size() == kNameLength && program.starts_with(process.program));
}

std::string evidence_of(const Known& known, const std::vector<Process>& running, const Files& files) {
  const auto own = arguments_of(files.read("/proc/self/cmdline").value_or(""));
  for (const auto& process : running) {
    for (const auto program : known.programs) {
      if (!program.empty() && runs(process, program, own)) return "process " + process.pid + " (" + process.command + ")";
    }
  }
  for (const auto mark : known.marks) {
    if (!mark.empty() && files.read(std::string(mark))) return std::string(mark);
  }
  return {};
}

/// jetson_clocks leaves no process: in force, it shows as GPU floor = ceiling with the memory clock locked (its --show on JetPack 5 and 6,
/// as owners read it).
std::optional<Rival> jetson_clocks(const Files& files) {
  constexpr const char* kLock = "/sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked";
  constexpr const char* kClass = "/sys/class/devfreq";
  const auto locked = read_integer(files, kLock);
  const auto devices = files.list(kClass);
  if (!locked || *locked == 0 || !devices) return std::nullopt;
  for (const auto& device : *devices) {
    const std::string_view kind = std::string_view(device).substr(device.rfind('.') + 1);
    constexpr std::array<std::string_view, 6> kGpus{"gp10b", "gv11b", "ga10b", "gb10b", "gpu", "gpu-gpc-0"};
    if (std::find(kGpus.begin(), kGpus.end(), kind) == kGpus.end()) continue;
    const std::string folder = std::string(kClass) + "/" + device;
    const auto floor = read_integer(files, folder + "/min_freq"), ceiling = read_integer(files, folder + "/max_freq");
    if (!floor || !ceiling || *floor != *ceiling) continue;
    return Rival{.name = "jetson_clocks",
                 .evidence = folder + "/min_freq equals max_freq, and " + kLock + " is 1",
                 .writes = "floors of CPU and GPU clocks, the memory clock, CPU idle states, rail gating",
                 .when = "when somebody runs it, or at boot where a service does",
                 .pause = "jetson_clocks --restore (if its settings were stored before)",
                 .resume = "jetson_clocks",
                 .may_interfere = false};
  }
  return std::nullopt;
}

}  // namespace

std::vector<Rival> rivals(const Host& host) {
  std::vector<Rival> out;
  const auto running = processes(host.files);
  for (const Known& known : kKnown) {
    const std::string evidence = evidence_of(known, running, host.files);
    if (evidence.empty()) continue;
    out.push_back({.name = std::string(known.name),
                   .evidence = evidence,
                   .writes = std::string(known.writes),
                   .when = std::string(known.when),
                   .pause = std::string(known.pause),
                   .resume = std::string(known.resume),
                   .may_interfere = known.may_interfere});
  }
  if (auto clocks = jetson_clocks(host.files)) out.push_back(std::move(*clocks));
  return out;
}

std::vector<std::string> who_may_interfere(const std::vector<Rival>& rivals) {
  std::vector<std::string> names;
  for (const auto& rival : rivals) {
    if (rival.may_interfere) names.push_back(rival.name);
  }
  return names;
}

std::string rivals_note(const std::vector<Rival>& rivals) {
  std::string names;
  for (const auto& name : who_may_interfere(rivals)) names += (names.empty() ? "" : ", ") + name;
  if (names.empty()) return {};
  return "others that may set clocks are here: " + names +
         "; a trial in which they do is void ('polythrottle probe' says how to pause them)";
}

}  // namespace polythrottle
