#include "host/simulation/machine.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "host/simulation/faults.h"
#include "host/simulation/node_tables.h"
#include "host/simulation/nodes.h"
#include "host/simulation/noise.h"

namespace polythrottle::simulation {
namespace {

/// Times nearer to each other than this are one.
constexpr double kInstant = 1e-12;
/// Unix time at which machines are made.
constexpr double kEpoch = 1.7e9;
/// A rival that comes again comes once a second.
constexpr Seconds kRivalPeriod{1.0};
/// Wall-paced: how long a waiting thread sleeps at most before it looks again.
constexpr Seconds kPace{0.02};

std::string without_newline(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Training training_of(const WorkSpec& work) { return {work.output_dimension, work.trained_layers}; }

/// The network, of work that makes sense.
Result<const Network*> checked(const WorkSpec& work) {
  if (work.batch < 1) return fail(Errc::kOutOfRange, "run a batch of " + std::to_string(work.batch), "give 1 or more");
  if (work.training && work.output_dimension < 1) {
    return fail(Errc::kOutOfRange, "fine-tune with an output dimension of " + std::to_string(work.output_dimension), "give 1 or more");
  }
  if (work.training && work.trained_layers < 1) {
    return fail(Errc::kOutOfRange, "fine-tune the last " + std::to_string(work.trained_layers) + " layers", "give 1 or more");
  }
  return find_network(work.network);
}

class SimulatedMachine final : public Machine {
 public:
  SimulatedMachine(const Board& board, const MachineOptions& options)
      : generation_(board.name.starts_with("jetson-tx2") ? Generation::kL4t49 : Generation::kPmQos),
        hardware_(board, generation_),
        execution_(options.sharing),
        noise_(mixed(options.seed), options.noise),
        files_(*this),
        clock_(*this) {
    if (options.wall_paced) {
      pace_ = real_clock();
      paced_from_ = pace_->now();
    }
    Bench bench{tree_,
                hardware_,
                execution_,
                generation_,
                mixed(options.seed ^ 0x5eed),
                options.noise,
                [this] { return present(); },
                [this](Seconds delay, std::function<void()> act) { schedule(present() + delay, std::move(act)); },
                [this] { noise_.visit(); }};
    if (generation_ == Generation::kL4t49) {
      add_tx2(bench);
    } else {
      add_orin(bench);
    }
  }

  // --- Faults ------------------------------------------------------------------------------------------------------------------

  Status adopt(std::vector<Fault> faults) {
    for (Fault& fault : faults) {
      const std::string named = fault.path;
      fault.path = tree_.resolve(named);
      const Node* node = tree_.find(fault.path);
      const std::string subject = std::string("fault plan: '") + to_string(fault.kind) + ":" + named + "': ";
      if (fault.kind == FaultKind::kVanish && (node != nullptr || tree_.is_folder(fault.path))) continue;
      if (node == nullptr) {
        std::string hint;
        for (const auto& path : tree_.alike(fault.path)) hint += (hint.empty() ? "nodes of that name: " : ", ") + path;
        return fail(Errc::kInvalid, subject + "it names no node of " + hardware_.board.name, hint);
      }
      const bool strikes_writes = fault.kind == FaultKind::kRefuse || fault.kind == FaultKind::kLie || fault.kind == FaultKind::kDeaf ||
                                  fault.kind == FaultKind::kGoBack;
      if (strikes_writes && !node->write) return fail(Errc::kInvalid, subject + "nobody can write that node");
    }
    for (const Fault& fault : faults) {
      if (fault.kind == FaultKind::kRival) schedule(fault.from, [this, fault] { rival(fault, 1); });
    }
    faults_ = FaultPlan(std::move(faults));
    return {};
  }

  // --- Machine -----------------------------------------------------------------------------------------------------------------

  Host host() override { return {files_, clock_}; }
  const Board& board() const override { return hardware_.board; }

  Result<WorkId> start(const WorkSpec& work) override {
    const std::lock_guard lock(mutex_);
    catch_up();
    TRY(const Prepared* prepared, prepare(work));
    TRY_STATUS(fits(work, prepared->bytes));
    noise_.meet(measured(*prepared));
    const WorkId id = execution_.start(prepared->plan, noise_.latency_factor(), now_);
    held_.emplace(id, prepared->bytes);
    woken_.notify_all();
    return id;
  }

  std::optional<Event> next_event(std::optional<Clock::TimePoint> until) override {
    std::unique_lock lock(mutex_);
    const Seconds limit = until ? until->time_since_epoch() : Seconds(1e300);
    advance(limit, lock, [this] { return !ended_.empty() || !execution_.busy(); });
    if (ended_.empty()) {
      // Nothing runs: whoever gave a time wants to be there.
      if (until) advance(limit, lock, [] { return false; });
      if (ended_.empty()) return std::nullopt;
    }
    const Event event = ended_.front();
    ended_.pop_front();
    return event;
  }

  Event wait_for(WorkId id) override {
    std::unique_lock lock(mutex_);
    const auto find = [this, id] { return std::find_if(ended_.begin(), ended_.end(), [id](const Event& e) { return e.id == id; }); };
    advance(Seconds(1e300), lock, [&] { return find() != ended_.end() || !execution_.busy(); });
    const auto found = find();
    if (found == ended_.end()) return {};
    const Event event = *found;
    ended_.erase(found);
    return event;
  }

  RailJoules energy() const override {
    const std::lock_guard lock(mutex_);
    return hardware_.energy();
  }

  Result<Joules> energy(std::string_view rail) const override {
    const std::lock_guard lock(mutex_);
    std::string labels;
    for (const PowerMonitor& monitor : hardware_.monitors) {
      for (std::size_t i = 0; i < monitor.rails.size(); ++i) {
        const std::string& label = monitor.chip.channels()[i].label;
        const RailJoules& spent = hardware_.energy();
        const Rails as_rails{Watts(spent.gpu), Watts(spent.cpu), Watts(spent.memory), Watts(spent.other)};
        if (label == rail) return Joules(monitor.rails[i].watts(as_rails));
        labels += (labels.empty() ? "" : ", ") + label;
      }
    }
    return fail(Errc::kNotFound, "rail " + std::string(rail) + ": this board has none", "known: " + labels);
  }

  Celsius temperature() const override {
    const std::lock_guard lock(mutex_);
    return hardware_.temperature();
  }
  void set_temperature(Celsius temperature) override {
    const std::lock_guard lock(mutex_);
    hardware_.set_temperature(temperature);
  }
  Clocks clocks() const override {
    const std::lock_guard lock(mutex_);
    return hardware_.clocks();
  }
  Setting setting() const override {
    const std::lock_guard lock(mutex_);
    return hardware_.setting();
  }
  bool throttled() const override {
    const std::lock_guard lock(mutex_);
    return hardware_.throttled();
  }

 private:
  // --- Files -------------------------------------------------------------------------------------------------------------------

  class MachineFiles final : public Files {
   public:
    explicit MachineFiles(SimulatedMachine& machine) : machine_(machine) {}
    Result<std::string> read(const std::string& path) const override { return machine_.read(path); }
    Status write(const std::string& path, const std::string& text) override { return machine_.write(path, text); }
    Result<std::vector<std::string>> list(const std::string& folder) const override { return machine_.list(folder); }
    // sysfs and debugfs refuse both, to root too.
    Status make_folder(const std::string& path) override { return refused("make folder", path, EPERM); }
    Status remove_folder(const std::string& path) override { return refused("remove folder", path, EPERM); }
    Status writable(const std::string& path) const override { return machine_.writable(path); }
    WriteTotals written() const override {
      const std::lock_guard lock(machine_.mutex_);
      return machine_.written_;
    }

   private:
    SimulatedMachine& machine_;
  };

  static tl::unexpected<Error> refused(const std::string& act, const std::string& path, int error_number) {
    return tl::unexpected<Error>(system_error(act + " " + path, error_number));
  }

  /// The node behind a path, or the errno of opening it.
  std::pair<const Node*, int> open(const std::string& resolved) {
    if (faults_.vanished(resolved, present())) return {nullptr, ENOENT};
    const Node* node = tree_.find(resolved);
    if (node == nullptr) return {nullptr, tree_.is_folder(resolved) ? EISDIR : ENOENT};
    return {node, 0};
  }

  Result<std::string> read(const std::string& path) {
    std::unique_lock lock(mutex_);
    catch_up();
    const std::string resolved = tree_.resolve(path);
    const auto [node, error] = open(resolved);
    if (node == nullptr) return refused("read", path, error);
    if (!node->read) return refused("read", path, EACCES);
    spend(node->read_cost_now ? node->read_cost_now() : node->read_cost, lock);
    if (faults_.spoils(FaultKind::kEagain, resolved, present()) != nullptr) return refused("read", path, EAGAIN);
    const auto override_text = overrides_.find(resolved);
    Answer answer = override_text == overrides_.end() ? node->read() : Answer::of(override_text->second);
    if (answer.error != 0) return refused("read", path, answer.error);
    if (Fault* fault = faults_.spoils(FaultKind::kStick, resolved, present())) {
      if (!fault->frozen) fault->frozen = answer.text;
      return *fault->frozen;
    }
    return answer.text;
  }

  Status write(const std::string& path, const std::string& text) {
    std::unique_lock lock(mutex_);
    catch_up();
    const std::string resolved = tree_.resolve(path);
    const auto [node, error] = open(resolved);
    if (node == nullptr) return refused("write", path, error);
    if (!node->write) return refused("write", path, EACCES);
    spend(node->write_cost, lock);
    written_.count += 1;
    written_.time += node->write_cost;
    if (faults_.spoils(FaultKind::kEagain, resolved, present()) != nullptr) return refused("write", path, EAGAIN);
    if (const Fault* fault = faults_.spoils(FaultKind::kRefuse, resolved, present())) return refused("write", path, fault->error_number);
    if (faults_.spoils(FaultKind::kLie, resolved, present()) != nullptr) return {};
    if (faults_.spoils(FaultKind::kDeaf, resolved, present()) != nullptr) {
      overrides_[resolved] = without_newline(text);
      return {};
    }
    const Fault* fault = faults_.spoils(FaultKind::kGoBack, resolved, present());
    const Answer before = fault != nullptr && node->read ? node->read() : Answer{};
    if (const int answer = node->write(text); answer != 0) return refused("write", path, answer);
    overrides_.erase(resolved);
    if (fault != nullptr && before.error == 0) {
      schedule(present() + fault->delay, [this, resolved, old = without_newline(before.text)] { foreign_write(resolved, old); });
    }
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& folder) {
    const std::lock_guard lock(mutex_);
    catch_up();
    const std::string resolved = tree_.resolve(folder);
    if (faults_.vanished(resolved, present())) return refused("list", folder, ENOENT);
    if (!tree_.is_folder(resolved)) return refused("list", folder, tree_.find(resolved) != nullptr ? ENOTDIR : ENOENT);
    auto names = tree_.list(resolved);
    std::erase_if(names, [&](const std::string& name) { return faults_.vanished(tree_.resolve(resolved + "/" + name), present()); });
    return names;
  }

  Status writable(const std::string& path) {
    const std::lock_guard lock(mutex_);
    catch_up();
    const std::string resolved = tree_.resolve(path);
    const auto [node, error] = open(resolved);
    if (node == nullptr && error == EISDIR) return refused("write", path, EPERM);
    if (node == nullptr) return refused("look at", path, error);
    if (!node->write) return fail(Errc::kPermission, "write " + path + ": the kernel offers it read-only");
    return {};
  }

  /// What somebody else writes; what the kernel offers to nobody (a counter) then shows this.
  void foreign_write(const std::string& resolved, const std::string& text) {
    const Node* node = tree_.find(resolved);
    if (node == nullptr) return;
    if (node->write) {
      (void)node->write(text);
      overrides_.erase(resolved);
    } else {
      overrides_[resolved] = text;
    }
  }

  void rival(const Fault& fault, int writes) {
    foreign_write(fault.path, fault.value);
    const Seconds next = now_ + kRivalPeriod;
    const bool endless = fault.until > Seconds(1e299);
    if (endless && !fault.left) return;
    if (next < fault.until && (!fault.left || writes < *fault.left)) schedule(next, [this, fault, writes] { rival(fault, writes + 1); });
  }

  // --- Time --------------------------------------------------------------------------------------------------------------------

  struct Periodic {
    Seconds start;
    Seconds period;
    long step = 1;
    std::function<void()> fn;
    bool stopped = false;
    Seconds busy_until{0};  ///< on its own clock, of the last call
    Seconds due() const { return start + static_cast<double>(step) * period; }
  };

  class MachineTicker final : public Ticker {
   public:
    MachineTicker(SimulatedMachine& machine, std::shared_ptr<Periodic> periodic) : machine_(machine), periodic_(std::move(periodic)) {}
    ~MachineTicker() override { machine_.stop(*periodic_); }

   private:
    SimulatedMachine& machine_;
    std::shared_ptr<Periodic> periodic_;
  };

  class MachineClock final : public Clock {
   public:
    explicit MachineClock(SimulatedMachine& machine) : machine_(machine) {}
    TimePoint now() const override {
      const std::lock_guard lock(machine_.mutex_);
      machine_.catch_up();
      return TimePoint(machine_.present());
    }
    double wall_seconds() const override { return kEpoch + now().time_since_epoch().count(); }
    Seconds process_cpu() const override {
      const std::lock_guard lock(machine_.mutex_);
      machine_.catch_up();
      return Seconds(machine_.hardware_.cpu_seconds());
    }
    void sleep_until(TimePoint when) override { machine_.sleep_until(when.time_since_epoch()); }
    std::unique_ptr<Ticker> every(Seconds period, std::function<void()> fn) override { return machine_.every(period, std::move(fn)); }

   private:
    SimulatedMachine& machine_;
  };

  /// The time as the caller sees it: a periodic call has a clock of its own.
  Seconds present() const { return now_ + aside_; }

  void schedule(Seconds when, std::function<void()> act) { scheduled_.emplace(std::pair(when.count(), ++sequence_), std::move(act)); }

  void sleep_until(Seconds when) {
    std::unique_lock lock(mutex_);
    catch_up();
    if (firing_) {
      aside_ = std::max(aside_, when - now_);
    } else {
      advance(when, lock, [] { return false; });
    }
  }

  void spend(Seconds cost, std::unique_lock<std::recursive_mutex>& lock) {
    if (firing_) {
      aside_ += cost;
    } else {
      advance(now_ + cost, lock, [] { return false; });
    }
  }

  std::unique_ptr<Ticker> every(Seconds period, std::function<void()> fn) {
    // At the wall's pace a periodic call is a thread, as on a real machine: nobody may be waiting when it is due.
    if (pace_) return pace_->every(period, std::move(fn));
    const std::lock_guard lock(mutex_);
    auto periodic = std::make_shared<Periodic>();
    periodic->start = present();
    periodic->period = std::max(period, Seconds(1e-6));
    periodic->fn = std::move(fn);
    periodics_.push_back(periodic);
    return std::make_unique<MachineTicker>(*this, std::move(periodic));
  }

  /// A call in progress ends first, so time goes on to its end.
  void stop(Periodic& periodic) {
    std::unique_lock lock(mutex_);
    periodic.stopped = true;
    if (!firing_ && periodic.busy_until > now_) advance(periodic.busy_until, lock, [] { return false; });
  }

  void fire(const std::shared_ptr<Periodic>& periodic) {
    ++periodic->step;
    firing_ = true;
    aside_ = Seconds(0);
    periodic->fn();
    periodic->busy_until = present();
    aside_ = Seconds(0);
    firing_ = false;
    // Calls that were due while this one lasted are left out, as those of a slow thread are.
    while (periodic->due() < periodic->busy_until) ++periodic->step;
  }

  /// The pace of the wall: lets what should have happened happen.
  void catch_up() {
    if (!pace_ || firing_ || advancing_) return;
    pass(Seconds(pace_->now() - paced_from_), [] { return false; });
  }

  /// Lets time pass up to `until`, or until `enough`.
  template <class Enough>
  void advance(Seconds until, std::unique_lock<std::recursive_mutex>& lock, Enough enough) {
    if (!pace_) {
      pass(until, enough);
      return;
    }
    while (true) {
      pass(std::min(until, Seconds(pace_->now() - paced_from_)), enough);
      if (enough() || now_ >= until) return;
      const Seconds change = std::max(Seconds(50e-6), execution_.boundary(hardware_.clocks(), hardware_.online_cores()));
      woken_.wait_for(lock, std::min({until - now_, change, kPace}));
    }
  }

  template <class Enough>
  void pass(Seconds until, Enough enough) {
    advancing_ = true;
    while (!enough()) {
      std::erase_if(periodics_, [](const auto& periodic) { return periodic->stopped; });
      Seconds next = until;
      std::shared_ptr<Periodic> due;
      for (const auto& periodic : periodics_) {
        if (periodic->due() <= next && (!due || periodic->due() < due->due())) due = periodic;
      }
      if (due) next = std::min(next, due->due());
      bool act = false;
      if (!scheduled_.empty() && Seconds(scheduled_.begin()->first.first) <= next) {
        act = true;
        next = std::max(now_, Seconds(scheduled_.begin()->first.first));
      }
      if (!live(next, enough)) break;
      if (act) {
        const auto first = scheduled_.begin();
        const auto call = std::move(first->second);
        scheduled_.erase(first);
        call();
      } else if (due) {
        fire(due);
      } else {
        break;
      }
    }
    advancing_ = false;
  }

  /// The machine lives on to `until`, step by step. False if `enough` came first.
  template <class Enough>
  bool live(Seconds until, Enough& enough) {
    while (until - now_ > Seconds(kInstant)) {
      const bool kernels = execution_.kernels();
      const double cores = hardware_.online_cores();
      const auto [step, activity] = execution_.pass(hardware_.clocks(), cores, std::min(until - now_, hardware_.calm(kernels)), now_);
      hardware_.step(now_, step, activity, kernels, noise_.power_factor());
      now_ = until - now_ - step <= Seconds(kInstant) ? until : now_ + step;
      if (!execution_.has_completions()) continue;
      for (const auto& done : execution_.take_completions()) {
        hardware_.period_ended();
        held_.erase(done.id);
        ended_.push_back({done.id, Clock::TimePoint(done.started), Clock::TimePoint(done.finished)});
      }
      if (enough()) return false;
    }
    now_ = std::max(now_, until);
    return true;
  }

  // --- Work --------------------------------------------------------------------------------------------------------------------

  struct Prepared {
    std::shared_ptr<const Plan> plan;
    double bytes = 0.0;      ///< held while it runs
    std::uint64_t hash = 0;  ///< of what it is
  };
  Result<const Prepared*> prepare(const WorkSpec& work) {
    TRY(const Network* network, checked(work));
    const Training training = work.training ? training_of(work) : Training{0, 0};
    Prepared& prepared = plans_[{network, work.precision, work.batch, training.output_dimension, training.trained_layers}];
    if (!prepared.plan) {
      TRY(const Footprint held, footprint(work));
      prepared.bytes = held.total();
      std::string what = network->name;
      for (const int number : {static_cast<int>(work.precision), work.batch, training.output_dimension, training.trained_layers}) {
        what += ' ' + std::to_string(number);
      }
      prepared.hash = hash_of(what);
      prepared.plan =
          std::make_shared<const Plan>(work.training ? training_plan(hardware_.board, *network, work.precision, work.batch, training)
                                                     : inference_plan(hardware_.board, *network, work.precision, work.batch));
    }
    return &prepared;
  }

  /// What scatters in its own way: this work under these limits.
  std::uint64_t measured(const Prepared& prepared) const {
    std::uint64_t hash = prepared.hash;
    const Setting& limits = hardware_.setting();
    for (const Hertz limit : {limits.gpu_min, limits.gpu_max, limits.mem, limits.cpu}) {
      hash = mixed(hash + static_cast<std::uint64_t>(std::llround(limit.si())));
    }
    return hash;
  }

  Status fits(const WorkSpec& work, double bytes) const {
    const auto gigabytes = [](double of) {
      const auto tenths = static_cast<long long>(std::llround(of / 1e8));
      return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GB";
    };
    double used = 0.0;
    for (const auto& [id, held] : held_) used += held;
    if (bytes <= hardware_.board.memory() - used) return {};
    return fail(Errc::kOutOfRange,
                "start " + std::string(work.training ? "a step" : "a batch") + " of " + std::to_string(work.batch) + " of " + work.network +
                    " in " + to_string(work.precision) + ": it needs " + gigabytes(bytes) + " of memory, and " + hardware_.board.name +
                    " has " + gigabytes(hardware_.board.memory()) + " for work" +
                    (used > 0.0 ? ", " + gigabytes(used) + " of it in use" : ""),
                work.training ? "take a smaller batch or train fewer layers" : "take a smaller batch");
  }

  const Generation generation_;
  mutable std::recursive_mutex mutex_;
  std::condition_variable_any woken_;
  NodeTree tree_;
  Hardware hardware_;
  Execution execution_;
  Noise noise_;
  FaultPlan faults_;
  std::map<std::string, std::string> overrides_;  ///< what reads show in place of the node's own answer
  WriteTotals written_;
  MachineFiles files_;
  MachineClock clock_;

  Seconds now_{0};
  Seconds aside_{0};  ///< of the periodic call in progress, after now_
  bool firing_ = false;
  bool advancing_ = false;
  std::map<std::pair<double, long>, std::function<void()>> scheduled_;
  long sequence_ = 0;
  std::vector<std::shared_ptr<Periodic>> periodics_;
  std::unique_ptr<Clock> pace_;
  Clock::TimePoint paced_from_;

  std::deque<Event> ended_;
  std::map<std::tuple<const Network*, Precision, int, int, int>, Prepared> plans_;
  std::map<WorkId, double> held_;  ///< bytes, of the work in progress
};

}  // namespace

Result<Footprint> footprint(const WorkSpec& work) {
  TRY(const Network* network, checked(work));
  return work.training ? training_footprint(*network, work.precision, work.batch, training_of(work))
                       : inference_footprint(*network, work.precision, work.batch);
}

Result<std::unique_ptr<Machine>> Machine::make(std::string_view board, const MachineOptions& options) {
  TRY(const Board* found, find_board(board));
  TRY(auto faults, parse_faults(options.faults));
  TRY_STATUS(check(options.sharing));
  auto machine = std::make_unique<SimulatedMachine>(*found, options);
  TRY_STATUS(machine->adopt(std::move(faults)));
  return machine;
}

Result<Seconds> Machine::run_batch(std::string_view network, Precision precision, int batch) {
  TRY(const WorkId id, start({.network = std::string(network), .precision = precision, .batch = batch}));
  const Event event = wait_for(id);
  return event.finished - event.started;
}

}  // namespace polythrottle::simulation
