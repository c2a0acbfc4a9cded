// From refusals to the statuses of HTTP and gRPC.

#include <array>

#include "server/service.h"

namespace polythrottle::server {
namespace {

constexpr std::array kStatuses{
    StatusRow{Refusal::kInvalid, 400, 3, "invalid"},      StatusRow{Refusal::kNotFound, 404, 5, "not_found"},
    StatusRow{Refusal::kDropped, 503, 14, "dropped"},     StatusRow{Refusal::kNotReady, 503, 14, "not_ready"},
    StatusRow{Refusal::kTooLarge, 413, 8, "too_large"},   StatusRow{Refusal::kUnsupported, 501, 12, "unsupported"},
    StatusRow{Refusal::kForbidden, 401, 16, "forbidden"}, StatusRow{Refusal::kConflict, 409, 9, "conflict"},
    StatusRow{Refusal::kUpstream, 502, 14, "upstream"},   StatusRow{Refusal::kInternal, 500, 13, "internal"},
};

}  // namespace

const StatusRow& status_of(Refusal refusal) { return kStatuses[static_cast<std::size_t>(refusal)]; }

Refusal refusal_of(Errc code) {
  switch (code) {
    case Errc::kNotFound: return Refusal::kNotFound;
    case Errc::kPermission: return Refusal::kForbidden;
    case Errc::kUnsupported: return Refusal::kUnsupported;
    case Errc::kBusy: return Refusal::kConflict;
    case Errc::kInvalid:
    case Errc::kOutOfRange: return Refusal::kInvalid;
    case Errc::kTimeout: return Refusal::kDropped;
    case Errc::kIo:
    case Errc::kCorrupt: return Refusal::kInternal;
  }
  return Refusal::kInternal;
}

}  // namespace polythrottle::server
