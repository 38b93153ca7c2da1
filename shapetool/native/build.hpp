// Building a scene, and the parts of it that only some queries need.
#pragma once
#include "scene.hpp"

namespace shapetool {

std::unique_ptr<Scene> build_scene(const double *vertices, size_t vertex_count, const int64_t *faces, size_t face_count,
                                   int threads);
void need_tree(Scene &, int threads);  // the others see to it themselves
void need_frames(Scene &, int threads);
void need_vertex_leaves(Scene &, int threads);
void need_moments(Scene &, int threads);

// topology.cpp
// 1: closed and wound outward; -1: closed and wound inward; 0: neither. Known sooner than the topology, because neighbours
// are not looked for.
int need_orientation(Scene &, int threads);
void need_topology(Scene &, int threads);
void need_boundary(Scene &, int threads);
void need_normals(Scene &, int threads);
void need_intersections(Scene &, int threads);
std::vector<int64_t> list_intersections(Scene &, double slack, int threads);  // two faces a pair, the same whatever the threads

}  // namespace shapetool
