# gRPC, for the server's second protocol. polythrottle_grpc: the library with the code that protoc makes of the protocol; without gRPC an
# empty one, and the program says so when it is asked for it.
add_library(polythrottle_grpc INTERFACE)
set(polythrottle_grpc_found OFF)
if(NOT POLYTHROTTLE_STATIC)
  find_package(gRPC CONFIG QUIET)
  find_program(PROTOC protoc)
  find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin)
  if(gRPC_FOUND AND TARGET protobuf::libprotobuf AND PROTOC AND GRPC_CPP_PLUGIN)
    set(polythrottle_grpc_found ON)
  endif()
endif()
# -DPOLYTHROTTLE_GRPC=ON or OFF decides; else what is installed does, each time anew.
if(NOT DEFINED POLYTHROTTLE_GRPC)
  set(POLYTHROTTLE_GRPC ${polythrottle_grpc_found})
endif()
if(NOT POLYTHROTTLE_GRPC)
  message(STATUS "gRPC: not built (Debian: libgrpc++-dev, protobuf-compiler, protobuf-compiler-grpc)")
  return()
endif()
if(NOT polythrottle_grpc_found)
  message(FATAL_ERROR "POLYTHROTTLE_GRPC is ON, and there is no gRPC here (Debian: libgrpc++-dev, protobuf-compiler, protobuf-compiler-grpc)")
endif()
message(STATUS "gRPC: ${gRPC_VERSION}")

set(proto ${CMAKE_SOURCE_DIR}/src/server/open_inference.proto)
set(generated ${CMAKE_BINARY_DIR}/generated/open_inference)
file(MAKE_DIRECTORY ${generated})
set(stem ${generated}/open_inference)
add_custom_command(
  OUTPUT ${stem}.pb.cc ${stem}.pb.h ${stem}.grpc.pb.cc ${stem}.grpc.pb.h
  COMMAND ${PROTOC} --proto_path=${CMAKE_SOURCE_DIR}/src/server --cpp_out=${generated} --grpc_out=${generated}
          --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN} ${proto}
  DEPENDS ${proto} VERBATIM)
# Of others: no warnings of ours, and not in the way of ours.
add_library(polythrottle_open_inference STATIC ${stem}.pb.cc ${stem}.grpc.pb.cc)
target_include_directories(polythrottle_open_inference SYSTEM PUBLIC ${generated})
target_link_libraries(polythrottle_open_inference PUBLIC gRPC::grpc++ protobuf::libprotobuf Threads::Threads)
target_compile_options(polythrottle_open_inference PRIVATE -w)
if(POLYTHROTTLE_SANITIZE)
  target_compile_options(polythrottle_open_inference PUBLIC -fsanitize=${POLYTHROTTLE_SANITIZE} -fno-omit-frame-pointer)
endif()
target_link_libraries(polythrottle_grpc INTERFACE polythrottle_open_inference)
target_compile_definitions(polythrottle_grpc INTERFACE POLYTHROTTLE_HAVE_GRPC=1)
