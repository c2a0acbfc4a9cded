#pragma once
// The service that is served: one model behind one dispatcher, swapped while it runs, with jobs beside it.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "server/dispatcher.h"
#include "server/sampler.h"
#include "server/service.h"

namespace polythrottle::server {

struct LiveOptions {
  std::string name;                    ///< of the model
  std::string program;                 ///< version of this program
  std::string path;                    ///< of the model's file; "" where there is none (an upstream, a simulated board)
  std::string engine, policy, device;  ///< words for people
  /// Opens and warms up another version of the model. Absent: it cannot be loaded again.
  std::function<Result<std::shared_ptr<Backend>>(const std::string& path)> open;
  /// Words for the row in force, and what its knobs hold, for the snapshot. May be absent.
  std::function<std::string(std::size_t row)> configuration;
  std::function<std::vector<KnobReading>()> knobs;
};

class Jobs;

/// Safe from several threads. The dispatcher, the sampler (which it alone uses) and the jobs outlive it. Without jobs none are taken.
class LiveService : public Service {
 public:
  LiveService(Clock& clock, LiveOptions options, Dispatcher& dispatcher, Sampler* sampler, Jobs* jobs);
  ~LiveService() override;

  ServerInfo info() const override;
  std::shared_ptr<const ModelInfo> model(std::string_view name, std::string_view version) const override;
  std::string model_version(std::string_view name) const override;
  bool ready() const override;
  void infer(std::string_view model, std::string_view version, InferRequest request, Answer answer) override;
  std::vector<ModelState> index() const override;
  tl::expected<void, Failure> load(std::string_view model, const std::string& path) override;
  tl::expected<void, Failure> unload(std::string_view model) override;
  ModelStatistics statistics(std::string_view model) const override;
  std::size_t largest_request() const override;
  std::shared_ptr<const Snapshot> snapshot() const override;

  tl::expected<std::uint64_t, Failure> submit(const job::Spec& spec) override;
  std::vector<JobStatus> jobs() const override;
  tl::expected<void, Failure> pause(std::uint64_t job, bool paused) override;
  tl::expected<void, Failure> cancel(std::uint64_t job) override;
  tl::expected<std::string, Failure> logs(std::uint64_t job, std::size_t offset) const override;
  tl::expected<std::vector<std::string>, Failure> why(std::uint64_t job) const override;

  /// Not ready any more: what comes is refused.
  void close();
  /// Takes a snapshot now, as it is taken every second.
  void publish();

 private:
  bool known(std::string_view name, std::string_view version) const;

  Clock& clock_;
  const LiveOptions options_;
  Dispatcher& dispatcher_;
  Sampler* const sampler_;
  Jobs* const jobs_;
  const double began_;
  mutable std::mutex mutex_;  // of what follows
  std::shared_ptr<const ModelInfo> model_;
  std::string path_;
  int version_ = 1;
  bool loaded_ = true, closed_ = false;
  std::shared_ptr<const Snapshot> snapshot_;
  std::mutex loading_;   // one load at a time
  std::mutex sampling_;  // one sample at a time
  std::unique_ptr<Ticker> ticker_;
};

}  // namespace polythrottle::server
