#include "e2e/metered_machines.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <optional>

#include "host/fake.h"
#include "host/simulation/machine.h"

namespace polythrottle::coverage {
namespace {

using simulation::Chance;

std::unique_ptr<Meter> discover(Host& host, std::string_view name) {
  for (const auto* driver : meter_drivers()) {
    if (driver->name != name) continue;
    auto found = driver->discover(host, {});
    return found.meters.empty() ? nullptr : std::move(found.meters.front());
  }
  return nullptr;
}

double pick(Chance& chance, double low, double high) { return low * std::pow(high / low, chance.uniform()); }

// --- A simulated board -------------------------------------------------------------------------------------------------------------

class Board final : public Metered {
 public:
  Board(const std::string& name, std::uint64_t seed)
      : machine_(*simulation::Machine::make(name, {.seed = seed})),
        host_(machine_->host()),
        meter_(discover(host_, "ina3221")),
        gpu_max_(name == "jetson-tx2" ? "/sys/devices/17000000.gp10b/devfreq/17000000.gp10b/max_freq"
                                      : "/sys/devices/17000000.ga10b/devfreq/17000000.ga10b/max_freq") {}

  Host host() override { return host_; }
  Meter& meter() override { return *meter_; }
  double truth() const override { return machine_->energy().total().si(); }

  void begin(Load load, Chance& chance) override {
    load_ = load;
    static constexpr std::array kNetworks{"efficientnet-b0", "efficientnet-b4", "efficientnet-b7", "bert-base"};
    static constexpr std::array kBatches{1, 2, 4, 8, 16};
    work_.network = kNetworks[chance.bits() % kNetworks.size()];
    work_.batch = kBatches[chance.bits() % kBatches.size()];
    // The batches of a burst, and the pause behind it.
    burst_ = 1 + chance.bits() % 8;
    pause_ = Seconds(pick(chance, 0.005, 0.5));
    done_ = 0;
    const auto& levels = machine_->board().gpu_levels;
    const auto level = levels[levels.size() / 3 + chance.bits() % (levels.size() - levels.size() / 3)];
    (void)host_.files.write(gpu_max_, std::to_string(std::llround(level.si())));
  }

  void live(Seconds time) override {
    const auto until = host_.clock.now() + time;
    while (host_.clock.now() < until) {
      serve();
      if (running_) {
        note(machine_->next_event(until));
      } else {
        host_.clock.sleep_until(load_ == Load::kIdle ? until : std::min(until, resume_));
      }
    }
  }

  std::unique_ptr<Ticker> while_somebody_reads() override {
    return host_.clock.every(Seconds(0.25e-3), [this] {
      if (running_) note(machine_->next_event(host_.clock.now()));
      serve();
    });
  }

 private:
  /// Starts the next batch if it is time.
  void serve() {
    if (!running_ && load_ != Load::kIdle && resume_ <= host_.clock.now()) running_ = machine_->start(work_).has_value();
  }
  void note(const std::optional<simulation::Machine::Event>& event) {
    if (!event) return;
    running_ = false;
    resume_ = event->finished + (load_ == Load::kBursty && ++done_ % burst_ == 0 ? pause_ : Seconds(0));
  }

  std::unique_ptr<simulation::Machine> machine_;
  Host host_;
  std::unique_ptr<Meter> meter_;
  std::string gpu_max_;
  Load load_ = Load::kIdle;
  simulation::WorkSpec work_;
  std::size_t burst_ = 1, done_ = 0;
  Seconds pause_{0};
  Clock::TimePoint resume_{};
  bool running_ = false;
};

// --- A power signal ----------------------------------------------------------------------------------------------------------------

/// Pieces of constant power: batches with a short gap between them, and pauses behind bursts; it never comes twice.
class Signal {
 public:
  explicit Signal(std::uint64_t seed) : chance_(seed) {}

  void begin(Load load, Chance& chance, double now) {
    load_ = load;
    batch_ = pick(chance, 0.005, 0.2);
    gap_ = batch_ * pick(chance, 0.02, 0.3);
    burst_ = 1 + chance.bits() % 8;
    pause_ = pick(chance, 0.005, 0.5);
    idle_watts_ = pick(chance, 5.0, 20.0);
    busy_watts_ = idle_watts_ * pick(chance, 2.0, 8.0);
    (void)joules(now);
    end_ = now;
  }

  /// J from 0 s until `time`, which may lie a second back but not more.
  double joules(double time) {
    while (end_ <= time) next();
    auto at = pieces_.rbegin();
    while (at->from > time) ++at;
    const double joules = at->joules + at->watts * (time - at->from);
    while (pieces_.size() > 2 && pieces_[1].from < time - 1.0) pieces_.pop_front();
    return joules;
  }

 private:
  struct Piece {
    double from = 0.0, joules = 0.0, watts = 0.0;
  };

  void next() {
    ++count_;
    const double scatter = 1.0 + 0.02 * chance_.normal();
    Piece piece{.from = end_, .watts = idle_watts_ * scatter};
    if (!pieces_.empty()) piece.joules = pieces_.back().joules + pieces_.back().watts * (end_ - pieces_.back().from);
    double length = 0.02;
    if (load_ != Load::kIdle && count_ % 2 == 1) {
      piece.watts = busy_watts_ * scatter;
      length = batch_ * std::max(0.2, 1.0 + 0.03 * chance_.normal());
    } else if (load_ != Load::kIdle) {
      length = load_ == Load::kBursty && count_ / 2 % burst_ == 0 ? pause_ : gap_;
    }
    pieces_.push_back(piece);
    end_ += length;
  }

  Chance chance_;
  Load load_ = Load::kIdle;
  double batch_ = 0.0, gap_ = 0.0, pause_ = 0.0, idle_watts_ = 10.0, busy_watts_ = 0.0;
  std::size_t burst_ = 1, count_ = 0;
  double end_ = 0.0;  ///< of the last piece
  std::deque<Piece> pieces_;
};

/// The file of a counter that is renewed every `refresh` and counts in `step`.
class CounterFile : public FakeFiles {
 public:
  CounterFile(const Clock& clock, Signal& signal, std::string path) : clock_(clock), signal_(signal), path_(std::move(path)) {}

  double refresh = 1e-3, phase = 0.0;  ///< s
  double step = 1e-6, unit = 1e-6;     ///< J
  double gain = 1.0;                   ///< from now on

  Result<std::string> read(const std::string& path) const override {
    if (path != path_) return FakeFiles::read(path);
    const double renewed = std::floor((clock_.now().time_since_epoch().count() - phase) / refresh) * refresh + phase;
    if (renewed > renewed_) {
      const double joules = signal_.joules(renewed);
      counted_ += gain * (joules - seen_);
      seen_ = joules;
      renewed_ = renewed;
    }
    return std::to_string(static_cast<long long>(std::floor(counted_ / step) * step / unit)) + "\n";
  }

 private:
  const Clock& clock_;
  Signal& signal_;
  std::string path_;
  mutable double counted_ = 12345.678, seen_ = 0.0, renewed_ = 0.0;
};

/// A meter of one counter under `path`.
class Counted : public Metered {
 public:
  Counted(std::uint64_t seed, const std::string& path) : signal_(seed), files_(clock_, signal_, path), host_{files_, clock_}, seed_(seed) {}

  Host host() override { return host_; }
  Meter& meter() override { return *meter_; }
  double truth() const override { return signal_.joules(clock_.now().time_since_epoch().count()); }
  void begin(Load load, Chance& chance) override { signal_.begin(load, chance, clock_.now().time_since_epoch().count()); }
  void live(Seconds time) override { clock_.advance(time); }

  /// False: there is no such driver, or it does not like these files.
  bool start(std::string_view driver) {
    Chance chance(seed_ ^ 0x7a91);
    files_.phase = files_.refresh * chance.uniform();
    clock_.advance(Seconds(1.0));
    meter_ = discover(host_, driver);
    if (!meter_) return false;
    // The counter's gain is off by what the meter says of it.
    const auto a = meter_->read();
    clock_.advance(Seconds(1.0));
    const auto b = meter_->read();
    if (!a || !b || !(b->energy > a->energy)) return false;
    if (!b->one_sigma.empty()) files_.gain += (b->one_sigma[0] - a->one_sigma[0]) / (b->energy - a->energy) * chance.normal();
    return true;
  }

 protected:
  mutable Signal signal_;
  FakeClock clock_;
  CounterFile files_;
  Host host_;

 private:
  std::uint64_t seed_;
  std::unique_ptr<Meter> meter_;
};

class RaplCpu final : public Counted {
 public:
  explicit RaplCpu(std::uint64_t seed) : Counted(seed, kZone + "/energy_uj") {
    files_.step = 61.04e-6;
    files_.nodes = {{kZone + "/name", "package-0\n"}, {kZone + "/max_energy_range_uj", "262143328850\n"}, {kZone + "/energy_uj", ""}};
  }

 private:
  static inline const std::string kZone = "/sys/class/powercap/intel-rapl:0";
};

/// The nodes that the program gives an NVIDIA GPU.
class Gpu final : public Counted {
 public:
  explicit Gpu(std::uint64_t seed) : Counted(seed, kGpu + "/energy_mj") {
    files_.refresh = 0.1;
    files_.step = files_.unit = 1e-3;
    files_.nodes = {
        {kGpu + "/index", "0\n"}, {kGpu + "/name", "NVIDIA L4\n"}, {kGpu + "/architecture", "ada\n"}, {kGpu + "/energy_mj", ""}};
  }

 private:
  static inline const std::string kGpu = "/nvml/GPU-x";
};

template <class Machine>
std::unique_ptr<Metered> counted(std::uint64_t seed, std::string_view driver) {
  auto machine = std::make_unique<Machine>(seed);
  if (!machine->start(driver)) return nullptr;
  return machine;
}

}  // namespace

std::unique_ptr<Metered> board(const std::string& name, std::uint64_t seed) { return std::make_unique<Board>(name, seed); }

std::unique_ptr<Metered> rapl_cpu(std::uint64_t seed) { return counted<RaplCpu>(seed, "rapl"); }

std::unique_ptr<Metered> nvml_gpu(std::uint64_t seed) { return counted<Gpu>(seed, "nvml"); }

}  // namespace polythrottle::coverage
