#pragma once
// What stands between the protocols and the serving core: every front end (REST, gRPC, the page) sees only this.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "engine/backend.h"
#include "job/job.h"
#include "server/snapshot.h"

namespace polythrottle::server {

/// One inference as a client asked for it, checked against the model.
struct InferRequest {
  std::string id;                    ///< the client's; echoed
  std::vector<Tensor> inputs;        ///< in the model's order, see check_inputs
  std::vector<std::string> outputs;  ///< wanted; empty: all
  std::optional<Seconds> timeout;    ///< after arrival: its deadline; nullopt: the SLO
};
struct InferResponse {
  std::string model, version, id;
  std::vector<Tensor> outputs;
};

/// Why a request was not answered with outputs, beside the words: what decides the HTTP and gRPC status.
enum class Refusal {
  kInvalid,      ///< the request is wrong: 400, INVALID_ARGUMENT
  kNotFound,     ///< no such model or version: 404, NOT_FOUND
  kDropped,      ///< it could not be answered in time, or the queue is full: 503, UNAVAILABLE
  kNotReady,     ///< starting, draining or unloaded: 503, UNAVAILABLE
  kTooLarge,     ///< 413, RESOURCE_EXHAUSTED
  kUnsupported,  ///< 501, UNIMPLEMENTED
  kForbidden,    ///< 401, UNAUTHENTICATED
  kConflict,     ///< 409, FAILED_PRECONDITION
  kUpstream,     ///< the upstream server failed or did not answer: 502, UNAVAILABLE
  kInternal,     ///< the engine failed: 500, INTERNAL
};
struct StatusRow {
  Refusal refusal;
  int http;
  int grpc;  ///< grpc::StatusCode's number
  std::string_view name;
};
/// The one table from refusals to statuses.
const StatusRow& status_of(Refusal refusal);
Refusal refusal_of(Errc code);

struct Failure {
  Refusal refusal = Refusal::kInternal;
  Error error;
};
using InferResult = tl::expected<InferResponse, Failure>;
/// Called once, on a thread of the service; must not block.
using Answer = std::function<void(InferResult)>;

struct ServerInfo {
  std::string name = "polythrottle", version;
  std::vector<std::string> extensions;
};
struct ModelState {
  std::string name, version, state, reason;  ///< state: "READY", "UNAVAILABLE", "LOADING"
};
/// Cumulative, as the statistics extension has them; times in nanoseconds.
struct ModelStatistics {
  std::uint64_t inference_count = 0, execution_count = 0;
  std::uint64_t success_count = 0, fail_count = 0, success_ns = 0, fail_ns = 0, queue_ns = 0, compute_input_ns = 0, compute_infer_ns = 0,
                compute_output_ns = 0;
  std::uint64_t last_inference_ms = 0;  ///< since the Unix epoch
};

struct JobStatus {
  std::uint64_t id = 0;
  job::Spec spec;
  job::State state = job::State::kStarting;
  std::string kind;
  long steps_done = 0;
  std::optional<long> steps;    ///< in all, where it said so
  double submitted = 0.0;       ///< Unix seconds
  std::optional<double> ended;  ///< likewise
  std::optional<int> exit_code;
  std::string why;  ///< why it waits, runs, or failed: one sentence
};

/// Safe from several threads.
class Service {
 public:
  virtual ~Service() = default;
  virtual ServerInfo info() const = 0;
  /// A loaded model with this name (and version, "" for any). nullptr: none. What it points to stays as it is, also after a swap.
  virtual std::shared_ptr<const ModelInfo> model(std::string_view name, std::string_view version = {}) const = 0;
  virtual std::string model_version(std::string_view name) const = 0;
  /// Loaded, warm, and not on its way down.
  virtual bool ready() const = 0;
  /// Answers exactly once, whatever happens.
  virtual void infer(std::string_view model, std::string_view version, InferRequest request, Answer answer) = 0;
  virtual std::vector<ModelState> index() const = 0;
  /// Loads the model again from its file, or from `path` where that is given, and swaps it in; requests under way end on the old one.
  virtual tl::expected<void, Failure> load(std::string_view model, const std::string& path) = 0;
  virtual tl::expected<void, Failure> unload(std::string_view model) = 0;
  virtual ModelStatistics statistics(std::string_view model) const = 0;
  /// The largest request the loaded models take, bytes of tensors.
  virtual std::size_t largest_request() const = 0;
  /// Of the last second or so; never touches hardware.
  virtual std::shared_ptr<const Snapshot> snapshot() const = 0;

  virtual tl::expected<std::uint64_t, Failure> submit(const job::Spec& spec) = 0;
  virtual std::vector<JobStatus> jobs() const = 0;
  virtual tl::expected<void, Failure> pause(std::uint64_t job, bool paused) = 0;
  virtual tl::expected<void, Failure> cancel(std::uint64_t job) = 0;
  /// What it printed, from byte `offset` on, at most 1 MiB.
  virtual tl::expected<std::string, Failure> logs(std::uint64_t job, std::size_t offset) const = 0;
  /// The latest decisions about it, a sentence each, newest last.
  virtual tl::expected<std::vector<std::string>, Failure> why(std::uint64_t job) const = 0;
};

}  // namespace polythrottle::server
