// Fine-tuning jobs. They start programs and read files, so that all of these run on workers.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "server/rest_route.h"

namespace polythrottle::server {
namespace {

using nlohmann::json;

template <class T>
json known(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

json to_json(const JobStatus& status) {
  return {{"id", status.id},
          {"spec", json::parse(job::to_json(status.spec), nullptr, false)},
          {"state", job::to_string(status.state)},
          {"kind", status.kind},
          {"steps_done", status.steps_done},
          {"steps", known(status.steps)},
          {"submitted", status.submitted},
          {"ended", known(status.ended)},
          {"exit_code", known(status.exit_code)},
          {"why", status.why}};
}

HttpResponse no_job(const std::string& id) {
  return error_response(Refusal::kNotFound, "there is no job '" + id + "'", "GET v1/jobs lists them");
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

HttpResponse status_response(const RestCall& call, std::uint64_t id, int status = 200) {
  const auto jobs = call.service.jobs();
  const auto found = std::find_if(jobs.begin(), jobs.end(), [&](const JobStatus& job) { return job.id == id; });
  return found == jobs.end() ? no_job(std::to_string(id)) : json_response(to_json(*found), status);
}

HttpResponse submit(RestCall& call) {
  const auto spec = job::parse_spec(call.request.body);
  if (!spec) return error_response({refusal_of(spec.error().code), spec.error()});
  const auto id = call.service.submit(*spec);
  return id ? status_response(call, *id, 201) : error_response(id.error());
}

HttpResponse list(RestCall& call) {
  json jobs = json::array();
  for (const JobStatus& status : call.service.jobs()) jobs.push_back(to_json(status));
  return json_response({{"jobs", std::move(jobs)}});
}

HttpResponse one(RestCall& call) {
  const auto id = number(call.words[0]);
  return id ? status_response(call, *id) : no_job(call.words[0]);
}

template <class Act>
HttpResponse act_on_job(RestCall& call, Act act) {
  const auto id = number(call.words[0]);
  if (!id) return no_job(call.words[0]);
  const auto done = act(*id);
  return done ? status_response(call, *id) : error_response(done.error());
}

HttpResponse pause(RestCall& call) {
  return act_on_job(call, [&](std::uint64_t id) { return call.service.pause(id, true); });
}
HttpResponse resume(RestCall& call) {
  return act_on_job(call, [&](std::uint64_t id) { return call.service.pause(id, false); });
}
HttpResponse cancel(RestCall& call) {
  return act_on_job(call, [&](std::uint64_t id) { return call.service.cancel(id); });
}

/// The bytes as the job printed them; the header Next-Offset says where to go on.
HttpResponse logs(RestCall& call) {
  const auto id = number(call.words[0]);
  if (!id) return no_job(call.words[0]);
  const auto offset = number(query_value(call.request.target, "offset").value_or("0"));
  if (!offset) return error_response(Refusal::kInvalid, "'offset' must be a number of bytes from 0");
  auto text = call.service.logs(*id, *offset);
  if (!text) return error_response(text.error());
  return {
      .type = "text/plain; charset=utf-8", .headers = {{"Next-Offset", std::to_string(*offset + text->size())}}, .text = std::move(*text)};
}

HttpResponse why(RestCall& call) {
  const auto id = number(call.words[0]);
  if (!id) return no_job(call.words[0]);
  const auto sentences = call.service.why(*id);
  return sentences ? json_response({{"why", *sentences}}) : error_response(sentences.error());
}

constexpr RestRoute kRoutes[] = {
    {.method = "POST", .path = "v1/jobs", .body = BodyLimit::kSmall, .blocks = true, .run = submit},
    {.method = "GET", .path = "v1/jobs", .blocks = true, .run = list},
    {.method = "GET", .path = "v1/jobs/{}", .blocks = true, .run = one},
    {.method = "POST", .path = "v1/jobs/{}/pause", .body = BodyLimit::kSmall, .blocks = true, .run = pause},
    {.method = "POST", .path = "v1/jobs/{}/resume", .body = BodyLimit::kSmall, .blocks = true, .run = resume},
    {.method = "POST", .path = "v1/jobs/{}/cancel", .body = BodyLimit::kSmall, .blocks = true, .run = cancel},
    {.method = "GET", .path = "v1/jobs/{}/logs", .blocks = true, .run = logs},
    {.method = "GET", .path = "v1/jobs/{}/why", .blocks = true, .run = why},
};

}  // namespace

std::span<const RestRoute> job_routes() { return kRoutes; }

}  // namespace polythrottle::server
