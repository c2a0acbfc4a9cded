#include "server/rest_json.h"

#include <fmt/format.h>

#include <deque>
#include <memory>
#include <optional>

#include "server/rest_elements.h"

namespace polythrottle::server {
namespace {

using nlohmann::json;

constexpr std::size_t kDeepest = 16, kMostMembers = 10000;

/// Knows where in the document it is, and hands the elements of inputs[i].data on.
class RequestWalk {
 public:
  virtual ~RequestWalk() = default;
  const Error& error() const { return error_; }

  // Called by the parser.
  bool null() {
    return in_data_ > 0 ? element([](ElementWriter& w) { return w.other("null"); }) : value(nullptr);
  }
  bool boolean(bool v) {
    return in_data_ > 0 ? element([&](ElementWriter& w) { return w.boolean(v); }) : value(v);
  }
  bool number_integer(std::int64_t v) {
    return in_data_ > 0 ? element([&](ElementWriter& w) { return w.integer(v); }) : value(v);
  }
  bool number_unsigned(std::uint64_t v) {
    return in_data_ > 0 ? element([&](ElementWriter& w) { return w.natural(v); }) : value(v);
  }
  bool number_float(double v, const std::string& digits) {
    return in_data_ > 0 ? element([&](ElementWriter& w) { return w.real(v, digits); }) : value(v);
  }
  bool string(std::string& v) {
    return in_data_ > 0 ? element([&](ElementWriter& w) { return w.text(v); }) : value(v);
  }
  bool binary(json::binary_t&) { return false; }
  bool start_object(std::size_t) {
    if (in_data_ > 0) return refuse("an object in the data of an input");
    return enter(json::object());
  }
  bool key(std::string& name) {
    frames_.back().key = name;
    return named(name);
  }
  bool end_object() { return leave(); }
  bool start_array(std::size_t) {
    if (in_data_ == 0 && !at_data()) return enter(json::array());
    if (in_data_ >= kDeepest) return refuse("nested too deeply");
    if (in_data_++ == 0 && !(value(nullptr) && begin_data(frames_[1].index))) return false;
    return bracket([](ElementWriter& w) { return w.open(); });
  }
  bool end_array() {
    if (in_data_ == 0) return leave();
    --in_data_;
    return bracket([](ElementWriter& w) { return w.close(); });
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception& e) {
    const std::string_view what = e.what();
    const std::size_t words = what.find("] ");
    return refuse(fmt::format("malformed JSON at byte {}: {}", position, words == std::string_view::npos ? what : what.substr(words + 2)));
  }

 protected:
  using Event = bool(ElementWriter&);
  virtual bool begin_data(std::size_t input) = 0;
  virtual ElementWriter* writer() = 0;
  virtual void count_element() {}
  virtual bool value(json v) = 0;  ///< at the place that `frames_` says
  virtual bool named(const std::string& key) = 0;

  struct Frame {
    bool object = false;
    std::string key;
    std::size_t index = 0;  ///< of the next item of an array
    json* node = nullptr;
  };

  bool refuse(std::string what) {
    if (error_.what.empty()) error_ = Error{Errc::kInvalid, std::move(what), ""};
    return false;
  }
  void count_item() {
    if (!frames_.empty() && !frames_.back().object) ++frames_.back().index;
  }

  std::vector<Frame> frames_;

 private:
  bool at_data() const {
    return frames_.size() == 3 && frames_[0].object && frames_[0].key == "inputs" && !frames_[1].object && frames_[2].object &&
           frames_[2].key == "data";
  }
  template <class Act>
  bool bracket(Act act) {
    ElementWriter* const to = writer();
    if (to == nullptr || act(*to)) return true;
    error_ = to->error();
    return false;
  }
  template <class Act>
  bool element(Act act) {
    count_element();
    return bracket(act);
  }
  bool enter(json empty) {
    if (frames_.size() >= kDeepest) return refuse("nested too deeply");
    const bool object = empty.is_object();
    if (frames_.empty() && !object) return refuse("the body is no JSON object");
    if (!value(std::move(empty))) return false;
    frames_.push_back({object, "", 0, node_});
    return true;
  }
  bool leave() {
    frames_.pop_back();
    count_item();
    return true;
  }

  std::size_t in_data_ = 0;
  Error error_;

 protected:
  json* node_ = nullptr;  ///< where the last value was put
};

class HeadWalk final : public RequestWalk {
 public:
  RequestHead take() { return std::move(head_); }

 private:
  bool begin_data(std::size_t input) override {
    head_.elements.resize(std::max(head_.elements.size(), input + 1), RequestHead::kNoData);
    head_.elements[input] = 0;
    counted_ = input;
    return true;
  }
  ElementWriter* writer() override { return nullptr; }
  void count_element() override { ++head_.elements[counted_]; }
  bool named(const std::string& key) override {
    return !frames_.back().node->contains(key) || refuse(fmt::format("the key '{}' stands twice in one object", key));
  }
  bool value(json v) override {
    if (++members_ > kMostMembers) return refuse("more members than any request needs");
    if (frames_.empty()) {
      if (!v.is_object()) return refuse("the body is no JSON object");
      node_ = &(head_.document = std::move(v));
      return true;
    }
    Frame& frame = frames_.back();
    if (frame.object) {
      node_ = &((*frame.node)[frame.key] = std::move(v));
    } else {
      const bool leaf = !v.is_structured();
      frame.node->push_back(std::move(v));
      node_ = &frame.node->back();
      if (leaf) ++frame.index;
    }
    return true;
  }

  RequestHead head_;
  std::size_t counted_ = 0, members_ = 0;
};

class ElementWalk final : public RequestWalk {
 public:
  ElementWalk(const RequestHead& head, std::vector<Tensor>& tensors) : head_(head), tensors_(tensors) {}
  void finish() {
    if (writer_) tensors_[input_].bytes = writer_->finish();
    writer_.reset();
  }

 private:
  bool begin_data(std::size_t input) override {
    finish();
    input_ = input;
    writer_.emplace(tensors_[input]);
    return true;
  }
  ElementWriter* writer() override { return writer_ ? &*writer_ : nullptr; }
  bool named(const std::string&) override { return true; }
  bool value(json v) override {
    if (!v.is_structured()) count_item();
    return true;
  }

  const RequestHead& head_;
  std::vector<Tensor>& tensors_;
  std::size_t input_ = 0;
  std::optional<ElementWriter> writer_;
};

}  // namespace

Result<RequestHead> read_request_head(std::string_view text) {
  HeadWalk walk;
  if (!json::sax_parse(text.begin(), text.end(), &walk)) return tl::unexpected(walk.error());
  return walk.take();
}

Status read_elements(std::string_view text, const RequestHead& head, std::vector<Tensor>& tensors) {
  for (std::size_t i = 0; i < head.elements.size(); ++i) {
    if (head.elements[i] == RequestHead::kNoData) continue;
    const Tensor& tensor = tensors[i];
    if (!has_json_form(tensor.type)) {
      return fail(Errc::kInvalid, fmt::format("input '{}': JSON has no form for {}", tensor.name, row_of(tensor.type).oip),
                  "send it as binary data (parameters.binary_data_size)");
    }
    const auto expected = static_cast<std::size_t>(element_count(tensor.shape).value_or(0));
    if (head.elements[i] != expected) {
      return fail(Errc::kInvalid, fmt::format("input '{}': expected {} elements, got {}", tensor.name, expected, head.elements[i]));
    }
  }
  ElementWalk walk(head, tensors);
  if (!json::sax_parse(text.begin(), text.end(), &walk)) return tl::unexpected(walk.error());
  walk.finish();
  return {};
}

}  // namespace polythrottle::server
