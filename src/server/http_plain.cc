// Connections without TLS.
#include "server/http_session.h"

namespace polythrottle::server {
namespace {

class PlainSession final : public HttpSession<HttpStream> {
 public:
  using HttpSession::HttpSession;
  void start() override { next_request(); }

 private:
  void hang_up() override {
    boost::system::error_code ignored;
    bottom().socket().shutdown(boost::asio::socket_base::shutdown_send, ignored);
    bottom().expires_after(period(context_->limits.linger));
    discard();
  }
};

}  // namespace

std::shared_ptr<HttpConnection> make_plain_connection(std::shared_ptr<HttpContext> context, HttpSocket socket, bool over_unix_socket) {
  return std::make_shared<PlainSession>(std::move(context), over_unix_socket, std::move(socket));
}

}  // namespace polythrottle::server
