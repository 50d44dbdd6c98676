# llhttp as the target llhttp::llhttp.
# Debian 13 has it as a library (libllhttp-dev, 9.x). Debian 12 has only its C sources, inside node-llhttp (8.1):
# they hold a strict and a loose parser and the header chooses the loose one unless LLHTTP_STRICT_MODE is 1.
# The loose one accepts CVE-2023-30589 and CVE-2025-23167, so strict it is.
option(PHOTOGATE_LLHTTP_SOURCES "Build llhttp from node-llhttp's sources even where a library exists" OFF)
find_package(PkgConfig REQUIRED)
if(NOT PHOTOGATE_LLHTTP_SOURCES)
  pkg_check_modules(PC_LLHTTP QUIET IMPORTED_TARGET GLOBAL libllhttp>=9.2)
endif()
if(PC_LLHTTP_FOUND)
  add_library(llhttp::llhttp ALIAS PkgConfig::PC_LLHTTP)
  set(LLHTTP_KIND "library ${PC_LLHTTP_VERSION}")
else()
  find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH)
  find_path(LLHTTP_SOURCE llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
  if(NOT LLHTTP_INCLUDE OR NOT LLHTTP_SOURCE)
    message(FATAL_ERROR "llhttp: install libllhttp-dev (Debian 13) or node-llhttp (Debian 12)")
  endif()
  add_library(llhttp_strict STATIC ${LLHTTP_SOURCE}/api.c ${LLHTTP_SOURCE}/http.c ${LLHTTP_SOURCE}/llhttp.c)
  target_include_directories(llhttp_strict SYSTEM PUBLIC ${LLHTTP_INCLUDE})
  target_compile_definitions(llhttp_strict PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(llhttp_strict PRIVATE -w -O2) # generated code
  set_target_properties(llhttp_strict PROPERTIES C_CLANG_TIDY "")
  add_library(llhttp::llhttp ALIAS llhttp_strict)
  set(LLHTTP_KIND "strict, from the sources of node-llhttp")
endif()
message(STATUS "llhttp: ${LLHTTP_KIND}")
