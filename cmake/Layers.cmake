# Folders of src/ become static libraries; who links whom is read from src/LAYERS, so a forbidden dependency fails to link as well as
# failing the test `layers`.

# polythrottle_drivers(FOLDER TYPE [EXCEPT stems...] [ALSO stems...] [HEADER name]): writes FOLDER_drivers() returning an array of all driver
# constants of the folder. A driver has no header, for nobody names it; EXCEPT: sources without a header that are none; ALSO: drivers with
# one. HEADER declares FOLDER_drivers(); FOLDER.h if it is not given.
function(polythrottle_drivers folder type)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "HEADER" "EXCEPT;ALSO")
  if(NOT arg_HEADER)
    set(arg_HEADER ${folder}.h)
  endif()
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cc)
  list(FILTER files EXCLUDE REGEX "_test\\.cc$")
  set(declarations "")
  set(entries "")
  foreach(file IN LISTS files)
    get_filename_component(stem ${file} NAME_WE)
    if(stem IN_LIST arg_ALSO OR NOT (stem IN_LIST arg_EXCEPT OR EXISTS ${CMAKE_SOURCE_DIR}/src/${folder}/${stem}.h))
      string(APPEND declarations "extern const ${type} ${stem};\n")
      string(APPEND entries "    &${folder}_driver::${stem},\n")
    endif()
  endforeach()
  set(out ${CMAKE_BINARY_DIR}/generated/${folder}_drivers.cc)
  file(CONFIGURE OUTPUT ${out} CONTENT "// Generated from the files of src/${folder}.
#include \"${folder}/${arg_HEADER}\"
#include <array>
namespace polythrottle {
namespace ${folder}_driver {
${declarations}}
std::span<const ${type}* const> ${folder}_drivers() {
  static constexpr std::array drivers{
${entries}  };
  return drivers;
}
}  // namespace polythrottle
")
  set_property(GLOBAL PROPERTY polythrottle_generated_${folder} ${out})
endfunction()

# One library polythrottle_FOLDER for each line of src/LAYERS whose folder has sources, and one test program unit_FOLDER for its *_test.cc.
function(polythrottle_folders)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/LAYERS)
  file(STRINGS ${CMAKE_SOURCE_DIR}/src/LAYERS lines REGEX "^[a-z]+:")
  set(present "")
  foreach(line IN LISTS lines)
    string(REGEX MATCH "^[a-z]+" folder ${line})
    string(REGEX REPLACE "^[a-z]+: *" "" allowed "${line}")
    separate_arguments(allowed)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cc ${CMAKE_SOURCE_DIR}/src/${folder}/*/*.cc)
    set(tests ${sources})
    list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")
    list(FILTER tests INCLUDE REGEX "_test\\.cc$")
    get_property(generated GLOBAL PROPERTY polythrottle_generated_${folder})
    if("all" IN_LIST allowed)
      set(allowed ${present})
    endif()
    list(TRANSFORM allowed PREPEND polythrottle_)
    set(library polythrottle_${folder})
    if(sources)
      add_library(${library} STATIC ${sources} ${generated})
      target_link_libraries(${library} PUBLIC polythrottle_options ${allowed} ${POLYTHROTTLE_USES_${folder}})
    else()
      add_library(${library} INTERFACE)
      target_link_libraries(${library} INTERFACE polythrottle_options ${allowed} ${POLYTHROTTLE_USES_${folder}})
    endif()
    list(APPEND present ${folder})
    if(tests)
      set_property(GLOBAL APPEND PROPERTY polythrottle_unit_tests ${folder})
      set_property(GLOBAL PROPERTY polythrottle_unit_sources_${folder} ${tests})
    endif()
  endforeach()
endfunction()

# polythrottle_embed(NAME FILE): a header generated/NAME.h whose constant kNAME holds the text of FILE.
function(polythrottle_embed name file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${name}.h CONTENT "// Generated from ${file}.
#pragma once
namespace polythrottle {
inline constexpr char k${name}[] = R\"SQL(${text})SQL\";
}  // namespace polythrottle
" @ONLY)
endfunction()
