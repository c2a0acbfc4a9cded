#pragma once
namespace polythrottle {
inline constexpr char kVersion[] = POLYTHROTTLE_VERSION;
}  // namespace polythrottle
