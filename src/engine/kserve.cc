#include "engine/kserve.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/tensor_json.h"
#include "engine/upstream.h"

namespace polythrottle {
namespace {

using nlohmann::json;

/// What the upstream says is wrong: {"error": "..."}, on one line.
std::string complaint(const UpstreamAnswer& answer) {
  const auto body = json::parse(*answer.body, nullptr, false);
  std::string words = body.is_object() && body.contains("error") && body["error"].is_string() ? body["error"].get<std::string>() : "";
  words = words.substr(0, 240);
  std::replace_if(
      words.begin(), words.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return words.empty() ? fmt::format("HTTP {}", answer.status) : fmt::format("{} (HTTP {})", words, answer.status);
}

Result<json> object(const UpstreamAnswer& answer, const std::string& act) {
  auto document = json::parse(answer.body->begin(), answer.body->begin() + static_cast<std::ptrdiff_t>(answer.head), nullptr, false);
  if (!document.is_object())
    return fail(Errc::kCorrupt, act + ": the answer is no JSON object", "is this an Open Inference Protocol server?");
  return document;
}

std::string word(const json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<std::vector<std::int64_t>> shape_of(const json& tensor) {
  const auto found = tensor.find("shape");
  if (found == tensor.end() || !found->is_array()) return std::nullopt;
  std::vector<std::int64_t> shape;
  for (const auto& extent : *found) {
    if (!extent.is_number_integer()) return std::nullopt;
    shape.push_back(std::max<std::int64_t>(-1, extent.get<std::int64_t>()));
  }
  return shape;
}

Result<std::vector<TensorInfo>> tensors_of(const json& metadata, const char* key, const std::string& act) {
  std::vector<TensorInfo> infos;
  for (const auto& tensor : metadata.value(key, json::array())) {
    if (!tensor.is_object()) return fail(Errc::kCorrupt, fmt::format("{}: '{}' holds what is no tensor", act, key));
    const auto* const type = find_oip_data_type(word(tensor, "datatype"));
    auto shape = shape_of(tensor);
    TensorInfo info{word(tensor, "name"), "", {}, {}};
    if (info.name.empty() || !shape) return fail(Errc::kCorrupt, fmt::format("{}: a tensor of '{}' without name or shape", act, key));
    if (!type) return fail(Errc::kUnsupported, fmt::format("{}: tensor '{}' is {}", act, info.name, word(tensor, "datatype")));
    info.type = type->name;
    info.shape = std::move(*shape);
    for (std::size_t axis = 0; axis < info.shape.size(); ++axis) {
      info.dimensions.push_back(info.shape[axis] < 0 ? fmt::format("{}[{}]", info.name, axis) : "");
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

class KserveBackend final : public Backend {
 public:
  KserveBackend(std::unique_ptr<Upstream> upstream, const KserveOptions& options)
      : upstream_(std::move(upstream)), model_name_(options.model) {
    path_ = "/v2/models/" + options.model + (options.version.empty() ? "" : "/versions/" + options.version);
    info_.path = upstream_->name() + path_;
  }
  const ModelInfo& model() const override { return info_; }

  /// Asks what there is.
  Status open() {
    const std::string act = fmt::format("ask {} for model '{}'", upstream_->name(), model_name_);
    TRY(const auto about, upstream_->get("/v2"));
    if (about.status == 200) {
      TRY(const auto server, object(about, act));
      info_.runtime = fmt::format("{} {} at {}", word(server, "name"), word(server, "version"), upstream_->name());
      const auto extensions = server.value("extensions", json::array());
      binary_ = std::find(extensions.begin(), extensions.end(), "binary_tensor_data") != extensions.end();
    } else {
      info_.runtime = upstream_->name();
    }
    TRY(const auto answer, upstream_->get(path_));
    if (answer.status == 404) return fail(Errc::kNotFound, fmt::format("{}: {}", act, complaint(answer)));
    // Triton answers 400 for a model that it does not have.
    if (answer.status != 200)
      return fail(answer.status == 400 ? Errc::kNotFound : Errc::kIo, fmt::format("{}: {}", act, complaint(answer)));
    TRY(const auto metadata, object(answer, act));
    TRY(info_.inputs, tensors_of(metadata, "inputs", act));
    TRY(info_.outputs, tensors_of(metadata, "outputs", act));
    if (info_.inputs.empty() || info_.outputs.empty()) return fail(Errc::kCorrupt, act + ": its metadata names no inputs or no outputs");
    if (!batchable(info_)) {
      const auto& shape = info_.inputs.front().shape;
      info_.fixed_batch = shape.empty() || shape.front() < 1 ? 1 : shape.front();
    }
    return {};
  }

  Result<std::vector<std::vector<Tensor>>> run(std::span<const Slice> slices) override {
    std::vector<std::vector<Tensor>> answers(slices.size());
    std::vector<bool> done(slices.size(), false);
    try {
      // Requests that differ in a free axis beside the batch cannot be one tensor: they go one after the other.
      for (std::size_t first = 0; first < slices.size(); ++first) {
        if (done[first]) continue;
        std::vector<std::size_t> alike;
        for (std::size_t i = first; i < slices.size(); ++i) {
          if (!done[i] && (i == first || fits_with(slices[first], slices[i]))) alike.push_back(i);
        }
        TRY_STATUS(run_alike(slices, alike, answers));
        for (const std::size_t i : alike) done[i] = true;
      }
    } catch (const std::bad_alloc&) {
      return fail(Errc::kIo, fmt::format("infer at {}: out of memory", info_.path));
    }
    return answers;
  }

 private:
  bool fits_with(const Slice& a, const Slice& b) const {
    if (!batchable(info_)) return false;
    return std::equal(a.inputs.begin(), a.inputs.end(), b.inputs.begin(), b.inputs.end(), [](const Tensor& one, const Tensor& other) {
      return std::equal(one.shape.begin() + 1, one.shape.end(), other.shape.begin() + 1, other.shape.end());
    });
  }

  Status run_alike(std::span<const Slice> slices, std::span<const std::size_t> which, std::vector<std::vector<Tensor>>& answers) const {
    std::vector<Tensor> inputs;
    for (std::size_t input = 0; input < info_.inputs.size(); ++input) {
      std::vector<Tensor> parts;
      for (const std::size_t i : which) parts.push_back(slices[i].inputs[input]);
      inputs.push_back(join(parts));
    }
    TRY(auto outputs, infer(inputs));
    for (const Tensor& whole : outputs) {
      if (which.size() == 1) {
        answers[which.front()].push_back(whole);
        continue;
      }
      const std::int64_t batch = inputs.front().shape.front();
      if (whole.shape.empty() || whole.shape.front() != batch) {
        return fail(Errc::kCorrupt,
                    fmt::format("infer at {}: output '{}' does not have the batch of {} on its first axis", info_.path, whole.name, batch));
      }
      std::int64_t at = 0;
      for (const std::size_t i : which) {
        const std::int64_t count = slices[i].inputs.front().shape.front();
        answers[i].push_back(rows(whole, at, count));
        at += count;
      }
    }
    return {};
  }

  Result<std::vector<Tensor>> infer(const std::vector<Tensor>& inputs) const {
    const std::string act = "infer at " + info_.path;
    json body{{"inputs", json::array()}, {"outputs", json::array()}};
    std::vector<Bytes> tails;
    for (const auto& input : inputs) {
      json tensor{{"name", input.name}, {"datatype", std::string(row_of(input.type).oip)}, {"shape", input.shape}};
      if (binary_) {
        tensor["parameters"] = {{"binary_data_size", input.bytes.view.size()}};
        tails.push_back(input.bytes);
      } else {
        TRY(tensor["data"], to_json_elements(input));
      }
      body["inputs"].push_back(std::move(tensor));
    }
    for (const auto& output : info_.outputs) {
      json wanted{{"name", output.name}};
      if (binary_) wanted["parameters"] = {{"binary_data", true}};
      body["outputs"].push_back(std::move(wanted));
    }
    TRY(const auto answer, upstream_->post(path_ + "/infer", body.dump(), tails));
    if (answer.status != 200) {
      const bool refused = answer.status == 400 || answer.status == 413 || answer.status == 422;
      return fail(refused ? Errc::kInvalid : Errc::kIo, fmt::format("{}: {}", act, complaint(answer)));
    }
    TRY(const auto document, object(answer, act));
    return read_outputs(document, answer, act);
  }

  /// All outputs of the model in its order, viewing the answer's body where they came as bytes.
  Result<std::vector<Tensor>> read_outputs(const json& document, const UpstreamAnswer& answer, const std::string& act) const {
    std::vector<Tensor> outputs(info_.outputs.size());
    std::vector<bool> there(outputs.size(), false);
    const auto all = std::as_bytes(std::span(*answer.body));
    std::size_t at = answer.head;
    for (const auto& from : document.value("outputs", json::array())) {
      const auto corrupt = [&](std::string_view what) {
        return fail(Errc::kCorrupt, fmt::format("{}: output '{}' {}", act, from.is_object() ? word(from, "name") : "", what));
      };
      if (!from.is_object()) return corrupt("is no object");
      const auto info =
          std::find_if(info_.outputs.begin(), info_.outputs.end(), [&](const auto& one) { return one.name == word(from, "name"); });
      const auto* const type = find_oip_data_type(word(from, "datatype"));
      auto shape = shape_of(from);
      if (info == info_.outputs.end()) return corrupt("is none of the model's");
      if (!type || type->name != info->type) return corrupt("is not of the type in its metadata");
      if (!shape) return corrupt("has no shape");
      Tensor tensor{info->name, type->type, std::move(*shape), {}};
      const auto parameters = from.value("parameters", json::object());
      if (const auto size = parameters.find("binary_data_size"); size != parameters.end()) {
        if (!size->is_number_unsigned() || size->get<std::uint64_t>() > all.size() - at) return corrupt("is longer than the answer");
        tensor.bytes = {answer.body, all.subspan(at, size->get<std::size_t>())};
        at += tensor.bytes.view.size();
      } else if (const auto data = from.find("data"); data == from.end()) {
        return corrupt("has no data");
      } else if (auto read = from_json_elements(*data, tensor); !read) {
        return corrupt(read.error().what);
      }
      if (auto whole = check_bytes(tensor); !whole) return corrupt(whole.error().what);
      const auto place = static_cast<std::size_t>(info - info_.outputs.begin());
      if (there[place]) return corrupt("comes twice");
      outputs[place] = std::move(tensor);
      there[place] = true;
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!there[i]) return fail(Errc::kCorrupt, fmt::format("{}: output '{}' is missing", act, info_.outputs[i].name));
    }
    return outputs;
  }

  std::unique_ptr<Upstream> upstream_;
  std::string model_name_, path_;
  ModelInfo info_;
  bool binary_ = false;
};

}  // namespace

Result<std::unique_ptr<Backend>> open_kserve(const KserveOptions& options) {
  const auto plain = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != '?' && c != '#' && c != '%'; });
  };
  if (options.model.empty() || !plain(options.model) || !plain(options.version)) {
    return fail(Errc::kInvalid, fmt::format("model '{}' of the upstream: not a name", options.model), "printable, without space, / ? # %");
  }
  TRY(auto upstream, Upstream::at(options.url, options.timeout, options.largest_answer));
  auto backend = std::make_unique<KserveBackend>(std::move(upstream), options);
  TRY_STATUS(backend->open());
  return backend;
}

}  // namespace polythrottle
