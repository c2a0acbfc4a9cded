#include "job/program_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "host/process_table.h"
#include "host/spawn.h"
#include "job/supervisor.h"

namespace polythrottle::job {
namespace {

constexpr Seconds kStopTime{1.0};   ///< for all processes to stop
constexpr Seconds kGrace{2.0};      ///< between SIGTERM and SIGKILL
constexpr Seconds kKillTime{10.0};  ///< a process that waits for a device does not die before that answers

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(above_standard(number)) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  int release() { return std::exchange(number_, -1); }
  void reset() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  /// Somebody may have started us with standard input or output closed.
  static int above_standard(int number) {
    if (number < 0 || number > STDERR_FILENO) return number;
    const int higher = ::fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    ::close(number);
    return higher;
  }
  int number_;
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}
std::vector<const char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<const char*> out;
  for (const auto& text : texts) out.push_back(text.c_str());
  return out;
}

Status make_job_folder(const std::string& folder, const std::optional<User>& user) {
  if (::mkdir(folder.c_str(), 0700) != 0) {
    if (errno != EEXIST) return tl::unexpected<Error>(system_error("make the job's folder " + folder, errno));
    return {};
  }
  if (user && ::chown(folder.c_str(), user->uid, user->gid) != 0) {
    return tl::unexpected<Error>(system_error("give the job's folder " + folder + " to its user", errno));
  }
  return {};
}

/// As many CPUs as the limit rounded up, the last of those we may use: systems put their own work on the first ones.
std::optional<cpu_set_t> some_cpus(double cpus) {
  cpu_set_t all, out;
  CPU_ZERO(&out);
  if (::sched_getaffinity(0, sizeof all, &all) != 0) return std::nullopt;
  int wanted = static_cast<int>(std::ceil(cpus));
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && wanted > 0; --cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    CPU_SET(cpu, &out);
    --wanted;
  }
  return out;
}

Error start_error(const StartFailure& failure, const std::string& program, const std::string& folder, const std::optional<User>& user) {
  using Act = StartFailure::Act;
  const std::string as = user ? " as user " + (user->name.empty() ? std::to_string(user->uid) : user->name) : std::string();
  switch (failure.act) {
    case Act::kFork: return system_error("start the job: make a process", failure.reason);
    case Act::kGroup: return system_error("start the job: enter its control group", failure.reason);
    case Act::kLimit: return system_error("start the job: set its limits", failure.reason);
    case Act::kUser: return system_error("start the job" + as, failure.reason);
    case Act::kFolder: return system_error("start the job in " + folder + as, failure.reason);
    case Act::kProgram: break;
  }
  Error error = system_error("start " + program + as, failure.reason);
  if (user && error.code == Errc::kPermission) error.hint = "jobs of a server of root's run as the user who called sudo, else as nobody";
  return error;
}

}  // namespace

Result<std::optional<User>> current_job_user() {
  return job_user(*real_files(), ::geteuid(), std::getenv("SUDO_UID"), std::getenv("SUDO_GID"));
}

Result<std::unique_ptr<ProgramTree>> ProgramTree::start(const Spec& spec, const std::string& folder, const std::string& output,
                                                        const Options& options) {
  static std::atomic<unsigned> count{0};
  if (spec.command.empty()) return fail(Errc::kInvalid, "start the job: it has no command");
  const std::string& place = spec.folder.empty() ? folder : spec.folder;
  const std::string& word = spec.command.front();
  // "./train" is meant from where it runs, not from where we do.
  const bool from_place = word.find('/') != std::string::npos && word.front() != '/';
  TRY(const std::string program, find_program(from_place ? place + "/" + word : word));
  TRY(const auto user, current_job_user());
  TRY_STATUS(make_job_folder(folder, user));
  const Descriptor out(::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (out.number() < 0) return tl::unexpected<Error>(system_error("open the job's output " + output, errno));

  auto files = real_files();
  const GroupWishes wishes{options.hold != Options::Hold::kSignals, spec.memory_bytes, spec.cpus};
  auto group = JobGroup::make(*files, wishes, fmt::format("polythrottle-job-{}-{}", ::getpid(), ++count));
  if (options.hold == Options::Hold::kFreezer && !group.freezes()) return tl::unexpected<Error>(group.no_freezer());
  const bool freezes = group.freezes();
  std::unique_ptr<ProgramTree> tree(new ProgramTree(std::move(files), std::move(group), freezes));

  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return tl::unexpected<Error>(system_error("start the job: make a socket", errno));
  }
  Descriptor ours(ends[0]), theirs(ends[1]);
  if (::pipe2(ends, O_CLOEXEC) != 0) return tl::unexpected<Error>(system_error("start the job: make a pipe", errno));
  const Descriptor failure_read(ends[0]);
  Descriptor failure_write(ends[1]);

  auto changes = spec.environment;
  for (const auto& [name, value] : options.environment) changes[name] = value;
  if (user) {
    for (const auto& [name, value] : {std::pair{"USER", user->name}, {"LOGNAME", user->name}, {"HOME", user->home}}) {
      if (!value.empty()) changes.emplace(name, value);
    }
  }
  std::vector<std::string> arguments = spec.command, variables = environment_with(changes);
  const std::vector<char*> argv = pointers(arguments), envp = pointers(variables);
  std::vector<std::string> folders = tree->group_.folders();
  folders.insert(folders.end(), options.folders.begin(), options.folders.end());
  const std::string way_out = way_out_of_quota(*tree->files_);
  Supervised job{.path = program.c_str(),
                 .arguments = argv.data(),
                 .environment = envp.data(),
                 .folder = place.c_str(),
                 .output = out.number(),
                 .control = theirs.number(),
                 .failure = failure_write.number(),
                 .user = user ? &*user : nullptr,
                 .entrances = pointers_to(tree->group_.entrances()),
                 .way_out = way_out.empty() ? nullptr : way_out.c_str(),
                 .thaw_file = freezes ? tree->group_.freeze_file().c_str() : nullptr,
                 .thaw_text = tree->group_.thaw_text(),
                 .folders = pointers_to(folders),
                 .files = pointers_to(options.files)};
  if (spec.memory_bytes && !tree->group_.limits_memory()) job.data_bytes = *spec.memory_bytes;
  if (spec.cpus && !tree->group_.limits_cpus()) job.affinity = some_cpus(*spec.cpus);

  // Not one of our signal handlers may run in the child.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) supervise(job);
  const int reason = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return tl::unexpected<Error>(system_error("start the job: make a process", reason));
  tree->supervisor_ = pid;
  tree->control_ = ours.release();
  theirs.reset();
  failure_write.reset();
  StartFailure failure;
  ssize_t got = 0;
  while ((got = ::read(failure_read.number(), &failure, sizeof failure)) < 0 && errno == EINTR) {
  }
  if (got != 0) return tl::unexpected<Error>(start_error(failure, program, place, user));
  for (const ProcessEntry& entry : descendants(pid)) {
    if (entry.parent == pid) tree->program_ = entry.pid;
  }
  tree->limits_ = fmt::format("held by {}; memory: {}; CPUs: {}", freezes ? "the freezer" : "SIGSTOP",
                              !spec.memory_bytes ? "no limit"
                              : job.data_bytes   ? "limit for each process"
                                                 : "control group",
                              !spec.cpus     ? "no limit"
                              : job.affinity ? "affinity"
                                             : "control group");
  return tree;
}

ProgramTree::~ProgramTree() {
  stop(kGrace);
  if (control_ >= 0) ::close(control_);
}

std::string ProgramTree::limits() const { return limits_; }

std::optional<int> ProgramTree::ended() {
  if (ended_) return ended_;
  if (supervisor_ < 0) return ended_ = 127;
  int status = 0;
  const pid_t pid = ::waitpid(supervisor_, &status, WNOHANG);
  if (pid == 0 || (pid < 0 && errno == EINTR)) return std::nullopt;
  if (pid == supervisor_ && WIFEXITED(status)) return ended_ = WEXITSTATUS(status);
  // Somebody killed the supervisor; the kernel has killed the program with it, and we do the rest.
  clean_up_after_supervisor();
  return ended_ = 128 + SIGKILL;
}

void ProgramTree::clean_up_after_supervisor() {
  const auto until = clock_->now() + kKillTime;
  for (bool more = true; more && clock_->now() < until;) {
    if (freezer_) (void)group_.thaw();
    if (program_ > 0) ::kill(-program_, SIGKILL);
    const auto members = group_.members();
    for (const long long pid : members) ::kill(static_cast<pid_t>(pid), SIGKILL);
    more = !members.empty();
    if (more) clock_->sleep_until(clock_->now() + Seconds(0.001));
  }
  group_.remove();
}

Status ProgramTree::hold() {
  if (ended()) return {};
  if (!freezer_) return hold_by_signals();
  auto frozen = group_.freeze(*clock_, kStopTime);
  if (!frozen && ended()) return {};  // the group went with it
  return frozen;
}

Status ProgramTree::hold_by_signals() {
  const auto until = clock_->now() + kStopTime;
  bool first = true;
  for (Seconds nap{0.0001};; nap = std::min(2.0 * nap, Seconds(0.005))) {
    // One that forks as this looks has a child that the next look finds; it ends when a look finds nobody that runs.
    if (program_ > 0) ::kill(-program_, SIGSTOP);
    bool all = true;
    for (const ProcessEntry& entry : descendants(supervisor_)) {
      if (entry.dead() || entry.stopped()) continue;
      ::kill(entry.pid, SIGSTOP);
      // One that waits in the kernel (for a child in vfork(2) that is stopped already, for a disk) stops before it does anything else.
      all = all && entry.state == 'D' && !first;
    }
    first = false;
    if (all || ended()) return {};
    if (clock_->now() >= until) return fail(Errc::kTimeout, "stop the job: one of its processes does not stop");
    clock_->sleep_until(clock_->now() + nap);
  }
}

Status ProgramTree::let() {
  if (ended()) return {};
  if (!freezer_) {
    signal_all(SIGCONT);
    return {};
  }
  auto thawed = group_.thaw();
  if (!thawed && ended()) return {};
  return thawed;
}

void ProgramTree::signal_all(int number) {
  for (const ProcessEntry& entry : descendants(supervisor_)) {
    if (!entry.dead()) ::kill(entry.pid, number);
  }
}

// The supervisor ends all of it when nobody is left to talk to.
void ProgramTree::cut() const { ::shutdown(control_, SHUT_WR); }

bool ProgramTree::wait_for_end(Seconds patience) {
  const auto until = clock_->now() + patience;
  while (!ended()) {
    const Seconds left = until - clock_->now();
    if (left <= Seconds(0)) return false;
    // Its end of the socket closes a moment before it can be waited for.
    pollfd event{.fd = control_, .events = POLLIN, .revents = 0};
    if (::poll(&event, 1, static_cast<int>(std::ceil(left.count() * 1e3))) > 0) clock_->sleep_until(clock_->now() + Seconds(0.0002));
  }
  return true;
}

void ProgramTree::stop(Seconds grace) {
  if (ended()) return;
  if (grace > Seconds(0)) {
    signal_all(SIGTERM);
    (void)let();
    if (wait_for_end(grace)) return;
  }
  ::shutdown(control_, SHUT_WR);
  if (wait_for_end(kKillTime)) return;
  // It hangs in the kernel; the supervisor stays with it.
  ended_ = 128 + SIGKILL;
}

}  // namespace polythrottle::job
