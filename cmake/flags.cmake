# The flags of the house: one interface target that every target of ours links.
option(PHOTOGATE_WERROR "Treat warnings as errors" OFF)
option(PHOTOGATE_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(PHOTOGATE_COVERAGE "Source coverage (needs clang)" OFF)
option(PHOTOGATE_ANALYZE "Run gcc -fanalyzer" OFF)
set(PHOTOGATE_SANITIZE "" CACHE STRING "Comma list for -fsanitize=")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(photogate_flags INTERFACE)
target_compile_definitions(photogate_flags INTERFACE _GNU_SOURCE
  $<$<CONFIG:Debug>:PHOTOGATE_DEBUG=1>)
target_compile_options(photogate_flags INTERFACE
  -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla
  -Wimplicit-fallthrough -Wnull-dereference
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes;-Wmissing-prototypes;-Wold-style-definition>
  -fno-omit-frame-pointer -fstack-protector-strong -fno-common
  $<$<BOOL:${PHOTOGATE_WERROR}>:-Werror>
  $<$<BOOL:${PHOTOGATE_ANALYZE}>:-fanalyzer>)
if(NOT PHOTOGATE_SANITIZE)
  target_compile_options(photogate_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=2>)
endif()
target_link_options(photogate_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack -pie)
if(PHOTOGATE_SANITIZE)
  target_compile_definitions(photogate_flags INTERFACE PHOTOGATE_SANITIZED=1 $<$<NOT:$<CONFIG:Debug>>:PHOTOGATE_DEBUG=1>)
  # with assert(), which RelWithDebInfo leaves out: the fuzz targets state their invariants with it
  target_compile_options(photogate_flags INTERFACE -fsanitize=${PHOTOGATE_SANITIZE} -fno-sanitize-recover=all -UNDEBUG)
  target_link_options(photogate_flags INTERFACE -fsanitize=${PHOTOGATE_SANITIZE})
endif()
if(PHOTOGATE_FUZZ)
  target_compile_options(photogate_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(PHOTOGATE_COVERAGE)
  target_compile_options(photogate_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(photogate_flags INTERFACE -fprofile-instr-generate)
endif()
