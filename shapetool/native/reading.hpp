// Binds what loading a mesh needs.
#pragma once
#include <nanobind/nanobind.h>

namespace shapetool {

void bind_reading(nanobind::module_ &m);

}  // namespace shapetool
