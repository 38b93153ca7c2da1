"""Meshes from fields and lattices."""
