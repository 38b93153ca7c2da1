// The inner loops, compiled once for each instruction set (CMakeLists.txt defines SHAPETOOL_ISA). Nothing here may use a
// library template: the linker would keep one copy, perhaps the one that this machine cannot run.
#include <climits>

#include "emd.hpp"
#include "overlap.hpp"
#include "points.hpp"
#include "scene.hpp"
#include "shear.hpp"
#include "simd.hpp"
#include "triangle.hpp"
#include "views.hpp"

#define SHAPETOOL_NAME2(x) #x
#define SHAPETOOL_NAME(x) SHAPETOOL_NAME2(x)
#define SHAPETOOL_TABLE2(x) table_##x
#define SHAPETOOL_TABLE(x) SHAPETOOL_TABLE2(x)

namespace shapetool {
namespace {
#include "closest.inc"
#include "cluster.inc"
#include "columns.inc"
#include "emd.inc"
#include "intersections.inc"
#include "nearest.inc"
#include "rays.inc"
#include "views.inc"
#include "winding.inc"
}  // namespace

extern const Functions SHAPETOOL_TABLE(SHAPETOOL_ISA);
const Functions SHAPETOOL_TABLE(SHAPETOOL_ISA) = {SHAPETOOL_NAME(SHAPETOOL_ISA), closest, cluster_closest, winding, settle, told, careful,
                                           exact, first_hits, count_hits, all_hits, column_keys, cross_rows, intersections, block_costs,
                                           nearest_points, draw_rows};

}  // namespace shapetool
