#include "server/co_run.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "server/warm_up.h"

namespace polythrottle::server {
namespace {

struct Interval {
  int size = 1;
  Seconds began{0}, ended{0};
};

constexpr Seconds kLook{0.001};  // between two looks at whether it is quiet
constexpr int kTries = 4;        // pieces for each that is wanted, where requests keep coming

/// Batches one behind the other while the step runs; the last may end behind it.
std::vector<Interval> batches_until(const std::atomic<bool>& over, Backend& backend, Clock& clock, std::span<const Tensor> inputs, int size,
                                    const std::function<bool()>& quiet, std::atomic<bool>& disturbed) {
  std::vector<Interval> out;
  const Slice slice{inputs};
  while (!over.load()) {
    if (!quiet()) {
      disturbed = true;
      clock.sleep_until(clock.now() + kLook);
      continue;
    }
    const Seconds began = clock.now().time_since_epoch();
    if (!backend.run({&slice, 1})) break;
    out.push_back({size, began, clock.now().time_since_epoch()});
  }
  return out;
}

double share(const Interval& of, Seconds from, Seconds to) {
  const double length = (of.ended - of.began).count();
  const double common = std::max(0.0, std::min(of.ended, to).count() - std::max(of.began, from).count());
  return length > 0.0 ? std::min(1.0, common / length) : 0.0;
}

}  // namespace

Result<CoRuns> make_co_runs(job::Job& job, const job::Offer& first, Backend& backend, Clock& clock, const CoRunOptions& options) {
  CoRuns out{{}, {}, first, false, 0};
  const int piece = first.pieces.empty() ? first.items : first.pieces.back();
  const int pieces_a_step = std::max(1, first.items / std::max(1, piece));
  int runs = options.alone + options.beside;
  runs = (runs + pieces_a_step - 1) / pieces_a_step * pieces_a_step;
  const bool batches = batchable(backend.model());
  std::vector<int> sizes{1};
  if (batches && options.largest_batch > 2) sizes.push_back(options.largest_batch / 2);
  if (batches && options.largest_batch > 1) sizes.push_back(options.largest_batch);
  if (first.cost) out.cost = *first.cost;

  int tried = 0;
  for (int run = 0; (run < runs || tried % pieces_a_step != 0) && tried < kTries * runs; ++tried) {
    if (options.stop.stop_requested()) return fail(Errc::kTimeout, "co-runs: interrupted");
    if (tried > 0) {
      TRY(const auto offer, job.next(options.patience));
      if (!offer) {
        out.over = true;
        return out;
      }
    }
    while (!options.quiet() && !options.stop.stop_requested()) clock.sleep_until(clock.now() + kLook);
    const bool alone = run < options.alone;
    const int size = sizes[static_cast<std::size_t>(run) % sizes.size()];
    std::atomic<bool> over = false, disturbed = false;
    std::vector<Interval> beside;
    std::jthread inference;
    std::vector<Tensor> inputs;
    if (!alone) {
      TRY(inputs, zero_inputs(backend.model(), size, options.dimensions));
      inference = std::jthread([&] { beside = batches_until(over, backend, clock, inputs, size, options.quiet, disturbed); });
    }
    const Seconds began = clock.now().time_since_epoch();
    const auto took = job.run(piece, options.patience);
    const Seconds ended = clock.now().time_since_epoch();
    if (!options.quiet()) disturbed = true;
    over = true;
    if (inference.joinable()) inference.join();
    if (!took) return tl::unexpected<Error>(took.error());

    if (disturbed && tried + runs < kTries * runs) continue;
    ++run;
    if (alone && !first.cost && options.batch_alone > Seconds(0)) {
      // As much of everything as inference does in the time an item took.
      const double times = *took / options.batch_alone / piece;
      out.cost = {.macs = options.inference.macs * times,
                  .weights = options.inference.weights,
                  .activations = options.inference.activations * times,
                  .kernels = options.inference.kernels};
    }
    const interference::Step step{out.cost, piece};
    double covered = 0.0;
    for (const auto& batch : beside) {
      const double part = share(batch, began, ended);
      covered += part * (batch.ended - batch.began).count();
      interference::Situation at{options.speeds, batch.size, {}, Seconds(0)};
      if (part > 0.0) at.step = step;
      out.samples.batches.push_back({at, batch.ended - batch.began, part});
    }
    out.samples.steps.push_back({options.speeds, step, ended - began, std::min(1.0, covered / std::max((ended - began).count(), 1e-9))});
  }
  out.items = static_cast<long>(tried) * piece;
  TRY(const auto offer, job.next(options.patience));
  if (offer) {
    out.next = *offer;
  } else {
    out.over = true;
  }
  return out;
}

}  // namespace polythrottle::server
