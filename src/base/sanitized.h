#pragma once
// Whether this build is slowed down by a sanitizer: loops over many seeds are shortened there, and only there.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define POLYTHROTTLE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define POLYTHROTTLE_SANITIZED 1
#endif
#endif

namespace polythrottle {

#ifdef POLYTHROTTLE_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// `number` of repetitions in the plain build, an eighth of them (at least one) under a sanitizer.
constexpr unsigned repetitions(unsigned number) { return kSanitized ? (number + 7) / 8 : number; }

}  // namespace polythrottle
