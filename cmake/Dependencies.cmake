# Well-kept libraries from the distribution. Each folder says here what it uses; nothing else sees it.
if(POLYTHROTTLE_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
endif()
find_package(Threads REQUIRED)
find_package(tl-expected REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(CLI11 REQUIRED)
find_package(SQLite3 3.34 REQUIRED)
find_package(OpenSSL 1.1 REQUIRED COMPONENTS Crypto SSL)
find_package(Boost 1.74 REQUIRED)  # headers only: Asio, Beast
include(cmake/OnnxRuntime.cmake)
include(cmake/Grpc.cmake)

# Debian's RE2 has no CMake files.
find_path(RE2_INCLUDE re2/re2.h REQUIRED)
find_library(RE2_LIBRARY re2 REQUIRED)
add_library(polythrottle_re2 INTERFACE)
target_include_directories(polythrottle_re2 SYSTEM INTERFACE ${RE2_INCLUDE})
target_link_libraries(polythrottle_re2 INTERFACE ${RE2_LIBRARY} Threads::Threads)

# Of protobuf only the reader of its encoding, for ONNX files: generated classes would hold all weights in memory.
find_path(PROTOBUF_INCLUDE google/protobuf/io/coded_stream.h REQUIRED)
find_library(PROTOBUF_LITE_LIBRARY protobuf-lite REQUIRED)
add_library(polythrottle_protobuf INTERFACE)
target_include_directories(polythrottle_protobuf SYSTEM INTERFACE ${PROTOBUF_INCLUDE})
# One program holds only one of the two: beside gRPC it is the whole library, which has this part in it.
target_link_libraries(polythrottle_protobuf INTERFACE $<IF:$<BOOL:${POLYTHROTTLE_GRPC}>,protobuf::libprotobuf,${PROTOBUF_LITE_LIBRARY}> Threads::Threads)

# Debian has fmt as a shared library and as headers, not as an archive.
set(POLYTHROTTLE_FMT fmt::fmt)
if(POLYTHROTTLE_STATIC)
  set(POLYTHROTTLE_FMT fmt::fmt-header-only)
endif()

set(POLYTHROTTLE_USES_base tl::expected ${POLYTHROTTLE_FMT})
set(POLYTHROTTLE_USES_host Threads::Threads nlohmann_json::nlohmann_json ${CMAKE_DL_LIBS})
set(POLYTHROTTLE_USES_trial nlohmann_json::nlohmann_json)
set(POLYTHROTTLE_USES_knob nlohmann_json::nlohmann_json)
set(POLYTHROTTLE_USES_engine polythrottle_onnxruntime_headers polythrottle_protobuf Boost::headers nlohmann_json::nlohmann_json OpenSSL::Crypto ${CMAKE_DL_LIBS})
set(POLYTHROTTLE_USES_workload Boost::headers Threads::Threads nlohmann_json::nlohmann_json polythrottle_re2)
set(POLYTHROTTLE_USES_surrogate Eigen3::Eigen Threads::Threads)
set(POLYTHROTTLE_USES_interference Eigen3::Eigen nlohmann_json::nlohmann_json)
set(POLYTHROTTLE_USES_job Threads::Threads nlohmann_json::nlohmann_json)
set(POLYTHROTTLE_USES_replay nlohmann_json::nlohmann_json)
set(POLYTHROTTLE_USES_journal SQLite::SQLite3 nlohmann_json::nlohmann_json)
set(POLYTHROTTLE_USES_server Boost::headers OpenSSL::SSL Threads::Threads nlohmann_json::nlohmann_json)
set(POLYTHROTTLE_USES_report nlohmann_json::nlohmann_json)
list(APPEND POLYTHROTTLE_USES_server polythrottle_grpc)
set(POLYTHROTTLE_USES_cli CLI11::CLI11 Boost::headers nlohmann_json::nlohmann_json)
