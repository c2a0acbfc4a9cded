#pragma once
// Inside the HTTP server: a response body of several pieces, for Beast.

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/optional.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace polythrottle::server {

/// Text, then bytes from where they lie.
struct HttpBody {
  struct value_type {
    std::string text;
    std::vector<Bytes> tails;
  };
  static std::uint64_t size(const value_type& body) {
    std::uint64_t total = body.text.size();
    for (const Bytes& tail : body.tails) total += tail.view.size();
    return total;
  }

  class writer {
   public:
    using const_buffers_type = std::vector<boost::asio::const_buffer>;
    template <bool request, class Fields>
    writer(const boost::beast::http::header<request, Fields>&, const value_type& body) : body_(body) {}
    void init(boost::system::error_code& error) { error = {}; }
    boost::optional<std::pair<const_buffers_type, bool>> get(boost::system::error_code& error) {
      error = {};
      const_buffers_type buffers{boost::asio::buffer(body_.text)};
      for (const Bytes& tail : body_.tails) buffers.emplace_back(tail.view.data(), tail.view.size());
      return std::make_pair(std::move(buffers), false);
    }

   private:
    const value_type& body_;
  };
};

}  // namespace polythrottle::server
