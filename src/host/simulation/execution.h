#pragma once
// Work in progress on the GPU and the CPUs: how several pieces of it share the machine. Driven by whoever owns the time.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/units.h"
#include "host/simulation/physics.h"

namespace polythrottle::simulation {

using WorkId = std::uint64_t;

/// How a GPU without partitions is shared (arXiv 2310.19991, section 5: edge GPUs have neither MPS nor MIG and take turns). No source read
/// gives these three for a Jetson; they are choices of the usual order of magnitude, and nothing is fitted to them.
struct Sharing {
  Seconds slice{2e-3};         ///< a context runs this long while another waits
  Seconds switching{150e-6};   ///< saving one context and loading the other; no kernel runs
  Seconds launch_ahead{5e-3};  ///< CPU time of launches that queue up while a context waits
  double copy_share = 0.1;     ///< of its own traffic that a waiting context goes on moving: copy engine, data loader, write-backs
};

/// One batch or one training step in progress passes through: waiting for its data, half of the request time on a CPU core, its kernels,
/// the other half. Alone it walks its kernels in one piece, whose length is the sum over them; as soon as another one has kernels too,
/// both walk theirs kernel by kernel and take turns. Pre-processing of the next batch of the same plan runs beside on CPU cores.
class Execution {
 public:
  explicit Execution(Sharing sharing = {}) : sharing_(sharing) {}

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

  /// What the machine does now; constant until `boundary`.
  Activity activity(const Clocks& clocks, double online_cores) const;
  /// Time to the next change of `activity` of our own making; infinite if there is none.
  Seconds boundary(const Clocks& clocks, double online_cores) const;
  /// Lets `step` pass, at most `boundary`, ending at `now`.
  void progress(const Clocks& clocks, double online_cores, Seconds step, Seconds now);

 private:
  enum class Phase { kData, kBefore, kKernels, kAfter };
  struct Job {
    WorkId id = 0;
    std::shared_ptr<const Plan> plan;
    double stretch = 1.0;
    Seconds started{0};
    Phase phase = Phase::kData;
    double done = 0.0;         ///< share of the phase; of kernels only while alone
    std::size_t kernel = 0;    ///< while sharing: the one whose turn it is ...
    double kernel_done = 0.0;  ///< ... and how much of it is done
    double gap_share = 1.0;    ///< of the wait for its launch that is left, because launches queued up before
    double queued = 0.0;       ///< s of launches that have queued up
  };
  /// Pre-processing of the batch after the present one of a plan.
  struct Stream {
    std::shared_ptr<const Plan> plan;
    double left = 0.0;  ///< share still to do
  };
  /// A batch's kernels, summed.
  struct Totals {
    double span = 0.0, busy = 0.0, compute = 0.0, launch = 0.0, bytes = 0.0;
  };

  static Totals totals(const Plan& plan, const Clocks& clocks);
  /// The last answer for each plan is kept: clocks at rest ask for the same again and again.
  const Totals& cached_totals(const Plan& plan, const Clocks& clocks) const;
  double phase_left(const Job& job, const Clocks& clocks) const;
  double data_left(const Plan& plan, const Clocks& clocks, double online_cores) const;
  static double preprocessing_cores(const Plan& plan, double online_cores);
  double bandwidth_left(const Job& running, const Clocks& clocks) const;
  double copied(const Job& waiting, const Clocks& clocks) const;
  double kernel_left(const Job& job, const Clocks& clocks) const;
  KernelTime current_kernel(const Job& job, const Clocks& clocks) const;
  const Job* holder() const;
  void settle(const Clocks& clocks, Seconds now);
  void share_or_not(const Clocks& clocks);
  void pass_on();
  static void begin_kernel(Job& job, const KernelTime& time);

  Sharing sharing_;
  std::vector<Job> jobs_;
  std::map<const Plan*, Stream> streams_;
  std::vector<Completion> completions_;
  WorkId last_id_ = 0;
  bool sharing_now_ = false;
  WorkId holder_ = 0;              ///< whose turn it is
  const Plan* context_ = nullptr;  ///< what is loaded on the GPU
  double slice_left_ = 0.0;        ///< s
  double switch_left_ = 0.0;       ///< s

  struct Cached {
    Clocks clocks;
    Totals totals;
  };
  mutable std::map<const Plan*, Cached> cache_;
};

}  // namespace polythrottle::simulation
