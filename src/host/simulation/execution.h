#pragma once
// Work in progress on the GPU and the CPUs: how several pieces of it share the machine. Driven by whoever owns the time.

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "host/simulation/physics.h"

namespace polythrottle::simulation {

using WorkId = std::uint64_t;

/// How a GPU without partitions is shared (arXiv 2310.19991, section 5: edge GPUs have neither MPS nor MIG and take turns). No source read
/// gives these four for a Jetson; they are choices of the usual order of magnitude, and nothing is fitted to them.
struct Sharing {
  Seconds slice{2e-3};         ///< a context runs this long while another waits; above 0
  Seconds switching{150e-6};   ///< saving one context and loading the other; no kernel runs; 0 or more
  Seconds launch_ahead{5e-3};  ///< CPU time of launches that queue up while a context waits; 0 or more
  double copy_share = 0.1;     ///< of its own traffic that a waiting context goes on moving (copy engine, write-backs); 0 to 1
};
/// Errors: kInvalid, naming the number.
Status check(const Sharing& sharing);

/// One batch or one training step in progress passes through: waiting for its data, half of the request time on a CPU core, its kernels
/// one by one, the other half. Alone it draws the mean power of all its kernels throughout. Who has kernels at the same time takes turns in
/// slices of time. All inference of a network is one process with one context on the GPU and one loader of data, all fine-tuning of it
/// another: a process changes its batch size for nothing, and while a batch runs the loader prepares as many items as that batch has on CPU
/// cores. The next batch waits for them.
class Execution {
 public:
  explicit Execution(const Sharing& sharing = {}) : sharing_(sharing) {}

  /// `stretch` is the batch's true latency over the noise-free one.
  WorkId start(std::shared_ptr<const Plan> plan, double stretch, Seconds now);

  struct Completion {
    WorkId id = 0;
    Seconds started{0};
    Seconds finished{0};
  };
  /// Everything that ended since the last call, in order of time.
  std::vector<Completion> take_completions();
  bool has_completions() const { return !completions_.empty(); }
  bool busy() const { return !jobs_.empty(); }
  /// Lies the present between the first and the last kernel of some work?
  bool kernels() const;
  /// Does any CPU work for us?
  bool cpu_busy() const;

  struct Passed {
    Seconds step{0};
    Activity activity;  ///< mean over the step
  };
  /// Lets time pass from `now` on: `at_most`, or less if something changes before, a turn on the GPU or a phase of some work. Energy of the
  /// step is exact, for power is linear in activity.
  Passed pass(const Clocks& clocks, double online_cores, Seconds at_most, Seconds now);
  /// How long the next step will be; infinite if nothing is going to change.
  Seconds boundary(const Clocks& clocks, double online_cores) const;

 private:
  enum class Phase { kData, kBefore, kKernels, kAfter };
  struct Job {
    WorkId id = 0;
    std::shared_ptr<const Plan> plan;
    double stretch = 1.0;
    Seconds started{0};
    Phase phase = Phase::kData;
    double done = 0.0;       ///< share of the phase; kernels: of the present one
    std::size_t kernel = 0;  ///< the one whose turn it is
    double gap_share = 1.0;  ///< of the wait for its launch that is left, because launches queued up before
    double queued = 0.0;     ///< s of launches that have queued up
  };
  using Process = std::pair<const Network*, bool>;  ///< and whether it trains
  static Process process(const Plan& plan) { return {plan.network, plan.training}; }
  /// A process's loader of data.
  struct Loader {
    std::shared_ptr<const Plan> plan;  ///< of the batch it copies in size
    double left = 0.0;                 ///< share still to do
  };

  static double preprocessing_cores(const Plan& plan, double online_cores);
  static double data_left(const Loader& loader, const Clocks& clocks, double online_cores);
  static double request_left(const Job& job, const Clocks& clocks);
  const Job* holder() const;
  const Totals& totals_at(const Plan& plan, const Clocks& clocks, double tolerance) const;
  double copied(const Job& waiting, const Clocks& clocks) const;
  double bandwidth_left(const Job& running, const Clocks& clocks) const;
  double run_gpu(const Clocks& clocks, double limit, Activity& sum);
  double walk(Job& job, const Clocks& clocks, double budget, Activity& sum);
  double walk_one_by_one(Job& job, const Clocks& clocks, double budget, Activity& sum) const;
  static double launches_left(const Job& job, const Clocks& clocks);
  void wait(Job& job, const Clocks& clocks, double time, Activity& sum) const;
  void load_next(const Job& job);
  void settle(Seconds now);
  void pass_on();

  Sharing sharing_;
  std::vector<Job> jobs_;
  std::map<Process, Loader> loaders_;
  std::vector<Completion> completions_;
  WorkId last_id_ = 0;
  bool sharing_now_ = false;
  WorkId holder_ = 0;                ///< whose turn it is
  Process context_{nullptr, false};  ///< what is loaded on the GPU
  double slice_left_ = 0.0;          ///< s
  double switch_left_ = 0.0;         ///< s

  struct Cached {
    Clocks clocks;
    Totals totals;
  };
  /// The last answer for each plan is kept: clocks at rest ask for the same again and again.
  mutable std::map<const Plan*, Cached> cache_;
};

}  // namespace polythrottle::simulation
